"""HTTP between mirrors, the asking side: kept-alive connections, bounded pools, every error mapped once."""

from app.peers.client import Peers as Peers
from app.peers.errors import Declined as Declined
from app.peers.errors import PeerError as PeerError
from app.peers.stream import PeerStream as PeerStream
