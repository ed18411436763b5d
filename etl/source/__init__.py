"""SQL Server side: connections, catalog, bulk reads."""
