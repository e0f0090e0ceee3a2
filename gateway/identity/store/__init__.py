"""All SQL of identity: by tenant, except where a credential has yet to tell the tenant."""
