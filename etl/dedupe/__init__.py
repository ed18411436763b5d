"""Who is one person: standardise, link, cluster, registry, review."""
