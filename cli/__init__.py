"""membershift: move a retailer's members from SQL Server to TiDB and back."""
