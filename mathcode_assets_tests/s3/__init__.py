"""The graph on a real S3 server: OpenStack Swift on loopback (`make test-servers`)."""
