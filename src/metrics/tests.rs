use super::*;

#[test]
fn names_come_out_as_they_are_written() {
    let recorder = builder().unwrap().build_recorder();
    ::metrics::with_local_recorder(&recorder, || {
        begin();
        events("genomics", "put", "applied").increment(2);
        messages("https://q", "acknowledged").increment(1);
        queue_depth("https://q").set(12.0);
        queue_oldest_age("https://q").set(1.5);
        queue_retention("https://q").set(345_600.0);
        dead_letters("https://q").set(2.0);
        quarantined("not_json").increment(1);
        quarantine_waiting().set(1.0);
        event_lag().record(0.2);
        batch_records().record(7.0);
        commit().record(0.003);
        commit_retries().increment(1);
        rechecks("tie").increment(1);
        rechecks_pending().set(3.0);
        rechecks_oldest_age().set(4.0);
        s3_requests("ListObjectVersions", "ok").increment(1);
        reconcile_keys().increment(1_000);
        ignored_keys("genomics").increment(2);
        setup_failures("genomics", "queue policy").set(1.0);
        drift("genomics", "ghost").increment(1);
        reconcile_every("genomics").set(86_400.0);
        runs_guarded("genomics").set(1.0);
        unrepresentable_keys("genomics", "a/").set(3.0);
        problems("database").set(0.0);
        credentials_end().set(1_750_000_000.0);
        complete_through("genomics").set(1_750_000_000.0);
    });
    let text = recorder.handle().render();
    for line in [
        "stocktake_events_total{bucket=\"genomics\",kind=\"put\",outcome=\"applied\"} 2",
        "stocktake_messages_total{queue=\"https://q\",outcome=\"acknowledged\"} 1",
        "stocktake_queue_depth{queue=\"https://q\"} 12",
        "stocktake_queue_oldest_age_seconds{queue=\"https://q\"} 1.5",
        "stocktake_quarantined_total{reason=\"not_json\"} 1",
        "stocktake_event_lag_seconds_bucket{le=\"0.25\"} 1",
        "stocktake_event_lag_seconds_count 1",
        "stocktake_batch_records_bucket{le=\"5\"} 0",
        "stocktake_batch_records_bucket{le=\"10\"} 1",
        "stocktake_commit_seconds_sum 0.003",
        "stocktake_commit_retries_total 1",
        "stocktake_rechecks_total{reason=\"tie\"} 1",
        "stocktake_rechecks_pending 3",
        "stocktake_s3_requests_total{operation=\"ListObjectVersions\",outcome=\"ok\"} 1",
        "stocktake_reconcile_keys_total 1000",
        "stocktake_ignored_keys_total{bucket=\"genomics\"} 2",
        "stocktake_setup_failures{bucket=\"genomics\",check=\"queue policy\"} 1",
        "stocktake_drift_total{bucket=\"genomics\",kind=\"ghost\"} 1",
        "stocktake_queue_retention_seconds{queue=\"https://q\"} 345600",
        "stocktake_dead_letters{queue=\"https://q\"} 2",
        "stocktake_quarantine_waiting 1",
        "stocktake_rechecks_oldest_age_seconds 4",
        "stocktake_reconcile_every_seconds{bucket=\"genomics\"} 86400",
        "stocktake_runs_guarded{bucket=\"genomics\"} 1",
        "stocktake_unrepresentable_keys{bucket=\"genomics\",prefix=\"a/\"} 3",
        "stocktake_problems{subject=\"database\"} 0",
        "stocktake_credentials_end_timestamp_seconds 1750000000",
        "stocktake_complete_through_timestamp_seconds{bucket=\"genomics\"} 1750000000",
        concat!("stocktake_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        for line in
            [format!("# HELP {} {}", metric.name, metric.help), format!("# TYPE {} {kind}", metric.name)]
        {
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
    }
    assert_eq!(text.matches("# TYPE ").count(), ALL.len());
}

#[test]
fn what_has_no_labels_begins_at_nothing() {
    let recorder = builder().unwrap().build_recorder();
    ::metrics::with_local_recorder(&recorder, begin);
    let text = recorder.handle().render();
    for line in ["stocktake_commit_retries_total 0", "stocktake_rechecks_pending 0"] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
}
