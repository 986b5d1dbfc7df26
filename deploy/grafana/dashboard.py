"""Prints stocktake.json, the dashboard. After a change here: python3 dashboard.py > stocktake.json"""

import json

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
BUCKET = '{bucket=~"$bucket"}'
RATE = "$__rate_interval"
BAD = [{"color": "green", "value": None}, {"color": "red", "value": 1}]

panels = []


def place(panel, x, y, width, height):
    grid = {"x": x, "y": y, "w": width, "h": height}
    panels.append({"id": len(panels) + 1, "gridPos": grid, **panel})


def panel(kind, title, unit, queries, about, defaults, options):
    targets = [{"refId": chr(65 + index), "expr": query, "legendFormat": legend} for index, (query, legend) in enumerate(queries)]
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, **defaults}, "overrides": []},
        "options": options,
        "targets": targets,
    }


def graph(title, unit, *queries, about="", stack="none"):
    look = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "stacking": {"mode": stack}}
    options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, unit, queries, about, {"min": 0, "custom": look}, options)


def number(title, unit, query, steps, about=""):
    defaults = {"noValue": "none", "thresholds": {"mode": "absolute", "steps": steps}}
    options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}
    return panel("stat", title, unit, [(query, "")], about, defaults, options)


def table(title, query, about=""):
    made = panel("table", title, "short", [(query, "")], about, {"noValue": "nothing"}, {})
    made["targets"][0].update(format="table", instant=True)
    return made


def quantiles(histogram, *shares):
    by = f"sum by (le) (rate({histogram}_bucket[{RATE}]))"
    return [(f"histogram_quantile({share}, {by})", f"{share:.0%}") for share in shares]


def rows():
    """What is below each other, and beside each other."""
    yield None, 4, [
        number("Daemons", "short", "count(stocktake_build_info)", [{"color": "red", "value": None}, {"color": "green", "value": 1}]),
        number("Problems", "short", "count(max by (subject) (stocktake_problems) > 0) or vector(0)", BAD, "`stocktake status` says what, and what to do."),
        number("Oldest message", "s", "max(stocktake_queue_oldest_age_seconds)", [BAD[0], {"color": "orange", "value": 300}, {"color": "red", "value": 3600}]),
        number("Keys in doubt", "short", "max(stocktake_rechecks_pending)", [BAD[0], {"color": "orange", "value": 1000}]),
        number("In quarantine", "short", "max(stocktake_quarantine_waiting)", BAD),
        number("Dead letters", "short", "sum(max by (queue) (stocktake_dead_letters)) or vector(0)", BAD),
    ]
    yield None, 6, [
        table("What is wrong", "max by (subject) (stocktake_problems) > 0"),
        graph("Known to be complete, until so long ago", "s", (f"time() - max by (bucket) (stocktake_complete_through_timestamp_seconds{BUCKET})", "{{bucket}}"), (f"max by (bucket) (stocktake_reconcile_every_seconds{BUCKET})", "{{bucket}} is listed every"), about="Falls when a run is completed. Events are in the catalog long before."),
    ]
    yield "Events", 7, [
        graph("Events", "ops", (f"sum by (bucket) (rate(stocktake_events_total{BUCKET}[{RATE}]))", "{{bucket}}")),
        graph("Events, by what came of them", "ops", (f"sum by (outcome) (rate(stocktake_events_total{BUCKET}[{RATE}]))", "{{outcome}}"), stack="normal"),
        graph("Lag", "s", *quantiles("stocktake_event_lag_seconds", 0.5, 0.9, 0.99), about="From the time S3 gives an event to the commit that has it in the catalog."),
    ]
    yield None, 7, [
        graph("Messages in the queues", "short", ("max by (queue) (stocktake_queue_depth)", "{{queue}}")),
        graph("Age of the oldest message", "s", ("max by (queue) (stocktake_queue_oldest_age_seconds)", "{{queue}}"), ("max by (queue) (stocktake_queue_retention_seconds)", "kept by {{queue}}")),
        graph("Messages, by what became of them", "ops", (f"sum by (outcome) (rate(stocktake_messages_total[{RATE}]))", "{{outcome}}"), stack="normal"),
    ]
    yield "Database", 7, [
        graph("Time to commit a batch", "s", *quantiles("stocktake_commit_seconds", 0.5, 0.99)),
        graph("Records in a batch", "short", *quantiles("stocktake_batch_records", 0.5, 0.99)),
        graph("Transactions tried again", "ops", (f"sum(rate(stocktake_commit_retries_total[{RATE}]))", "tried again")),
    ]
    yield "Runs and rechecks", 7, [
        graph("Keys compared", "ops", (f"sum(rate(stocktake_reconcile_keys_total[{RATE}]))", "compared"), (f"sum by (bucket) (rate(stocktake_ignored_keys_total{BUCKET}[{RATE}]))", "ignored in {{bucket}}")),
        graph("Drift in an hour", "short", (f"sum by (bucket, kind) (increase(stocktake_drift_total{BUCKET}[1h]))", "{{bucket}}: {{kind}}"), about="What runs have repaired. A new bucket's first run counts everything as missing."),
        graph("Requests to S3", "reqps", (f"sum by (operation, outcome) (rate(stocktake_s3_requests_total[{RATE}]))", "{{operation}}: {{outcome}}")),
    ]
    yield None, 7, [
        graph("Keys in doubt", "short", ("max(stocktake_rechecks_pending)", "waiting")),
        graph("Oldest doubt", "s", ("max(stocktake_rechecks_oldest_age_seconds)", "waiting")),
        graph("Rechecks", "ops", (f"sum by (reason) (rate(stocktake_rechecks_total[{RATE}]))", "{{reason}}")),
    ]
    yield "Set-up", 6, [
        table("Checks of the doctor that fail", f"max by (bucket, check) (stocktake_setup_failures{BUCKET}) > 0"),
        graph("Runs stopped by the guard", "short", (f"max by (bucket) (stocktake_runs_guarded{BUCKET})", "{{bucket}}")),
        graph("Set aside in an hour", "short", ("sum by (reason) (increase(stocktake_quarantined_total[1h]))", "{{reason}}")),
        graph("Keys that the catalog cannot hold", "short", (f"max by (bucket) (stocktake_unrepresentable_keys{BUCKET})", "{{bucket}}"), about="They are in catalog.unrepresentable."),
        number("Credentials end in", "s", "min(stocktake_credentials_end_timestamp_seconds > 0) - time()", [{"color": "red", "value": None}, {"color": "green", "value": 240}]),
    ]


y = 0
for title, height, beside in rows():
    if title:
        place({"type": "row", "title": title, "collapsed": False, "panels": []}, 0, y, 24, 1)
        y += 1
    for index, one in enumerate(beside):
        width = 24 // len(beside)
        place(one, index * width, y, width, height)
    y += height

buckets = {"query": "label_values(stocktake_reconcile_every_seconds, bucket)", "refId": "bucket"}
everything = {"includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
choices = [
    {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
    {"name": "bucket", "label": "Bucket", "type": "query", "datasource": SOURCE, "query": buckets, "refresh": 2, "multi": True, "sort": 1, **everything},
]
dashboard = {
    "uid": "stocktake",
    "title": "Stocktake",
    "description": "What keeps the catalog true, and how true it is. docs/METRICS.md explains the metrics, docs/RUNBOOK.md the alerts.",
    "tags": ["stocktake"],
    "schemaVersion": 39,
    "editable": True,
    "refresh": "30s",
    "timezone": "utc",
    "time": {"from": "now-6h", "to": "now"},
    "templating": {"list": choices},
    "panels": panels,
}
print(json.dumps(dashboard, indent=1))
