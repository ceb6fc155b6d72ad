"""What the outside tests share: a broker process, a raw client, a count of results."""
