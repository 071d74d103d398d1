"""What lies on the hypervisor: the store's directories, their files and manifests."""
