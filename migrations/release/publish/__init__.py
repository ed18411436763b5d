"""The published map in all its forms: what applications, flag providers and proxies read."""
