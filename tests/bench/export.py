# SPDX-License-Identifier: Apache-2.0
"""Writes an export of any size, as the exporter would: masters with keys, providers, bindings."""
import hashlib
import json


def token(i):
    return hashlib.sha256(b"bench token %d" % i).hexdigest()[:48]


def write_export(path, masters, keys, providers=20, models=500):
    """keys are spread over masters; every provider has every model; bindings: one namespace's worth of models each."""
    names = [f"model-{i}" for i in range(models)]
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"version":"1.0.0","source":{"type":"newapi","version":"unknown","exported_at":"2026-01-01T00:00:00Z"},'
                  '"data":{"providers":')
        json.dump([{"original_id": i, "name": f"channel-{i}", "type": "openai", "api_key": f"fake-{token(i)}", "models": names,
                    "primary_group": "default", "all_groups": ["default"], "status": "active", "auto_ban": True}
                   for i in range(providers)], out)
        out.write(',"masters":')
        json.dump([{"name": f"tenant-{i}", "group": "default", "namespaces": ["default"], "max_child_keys": keys,
                    "status": "active", "_source_user_id": i} for i in range(masters)], out)
        out.write(',"keys":[')
        for i in range(keys):
            out.write(("," if i else "") + json.dumps(
                {"master_ref": f"tenant-{i % masters}", "original_token": token(i), "group": "default", "status": "active",
                 "quota_limit": 500000, "quota_used": 1000, "unlimited_quota": False, "_original_id": i}))
        out.write('],"bindings":')
        json.dump([{"namespace": "default", "route_group": "default", "model": name, "status": "active"} for name in names], out)
        out.write('},"warnings":[]}')
