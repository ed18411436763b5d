"""TiDB side: connections, capabilities, bulk load, reads."""
