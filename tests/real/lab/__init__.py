"""A cluster on one machine: nodes in network namespaces, each with a real containerd and a Rykte, and a real registry.

    lab.py        the whole: nodes, upstream, start and clean-up
    node.py       one node: pull, remove, ask its mirror
    network.py    namespaces, links that can be slowed and cut
    process.py    a program in a namespace, ended with all that it started
    containerd.py · upstream.py · rykte.py    the three programs
    cri.py        what the kubelet would call; a program of its own
    image.py · push.py    images of any size, streamed; and how they get into the registry
    leftovers.py  what runs that were killed left behind

Everything on the machine that belongs to a run carries its `RunName`, so that runs side by side do not meet and a
later run can tell the dead ones' things.
"""
