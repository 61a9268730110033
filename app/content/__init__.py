"""Content stores: what images and blobs this node holds. Several of one kind behind `store.ContentStore`."""
