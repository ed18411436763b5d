"""Extract legacy tables into local Parquet files, with a manifest that survives a crash."""
