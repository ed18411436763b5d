"""Keep SQL Server and TiDB in step, both ways: docs/sync.md explains the protocol."""
