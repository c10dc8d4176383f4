"""Vector stores: they keep the generations of points, and the pointer to production. `registry` builds one."""
