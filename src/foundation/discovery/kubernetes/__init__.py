"""What the strategies for Kubernetes share: the service account, the API and its objects."""
