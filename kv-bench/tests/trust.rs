//! The verdict on a measurement follows from the facts about it, each at its threshold.

use kv_bench::driver::clock::schedstat_wait_ns;
use kv_bench::result::{Limit, Verdict};
use kv_bench::trust::{Facts, Pace, ServerLoad, judge, with_outages, with_outcome};

/// A measurement that nothing disturbed, on a machine with room.
fn calm() -> Facts {
    Facts {
        cores: 8,
        threads: 2,
        clients: 4,
        pipeline: 1,
        wall_s: 10.0,
        worker_shares: vec![0.4, 0.5],
        queue_wait_share: Some(0.01),
        involuntary_switches_s: Some(12.0),
        throttled_share: Some(0.0),
        steal_share: 0.0,
        absent_s: 0.0,
        others_share: Some(0.02),
        pace: None,
        unsolicited: 0,
        hungry_share: 0.0,
        trace_speed: None,
        server_lost: false,
        spawned: true,
        in_process: false,
        in_calls_share: None,
        servers: vec![Some(ServerLoad { cores: 0.6, busiest_thread: 0.3 })],
        arguments: ["run", "--servers", "1", "--threads", "2", "--value", "a b", "--clients=4"]
            .map(str::to_owned)
            .to_vec(),
    }
}

fn verdict(facts: &Facts) -> (Verdict, Limit, String) {
    let trust = judge(facts);
    assert!(!trust.reasons.is_empty(), "every verdict gives its evidence");
    (trust.verdict, trust.limited_by, trust.reasons.join("\n"))
}

#[test]
fn a_calm_measurement_is_trusted() {
    let (verdict, limit, reasons) = verdict(&calm());
    assert_eq!((verdict, limit), (Verdict::Trusted, Limit::Unknown));
    assert!(reasons.contains("waited for a core 1.0 %"), "{reasons}");
}

#[test]
fn who_calls_the_engine_may_use_a_whole_core_and_says_what_for() {
    let calling = |share, worker_shares| {
        let in_calls_share = Some(share);
        verdict(&Facts {
            in_process: true,
            in_calls_share,
            servers: vec![],
            worker_shares,
            ..calm()
        })
    };
    let (verdict, limit, reasons) = calling(0.57, vec![0.99, 1.0]);
    assert_eq!((verdict, limit), (Verdict::Trusted, Limit::Server));
    assert!(reasons.contains("57.0 % of the workers' time passed in its calls"), "{reasons}");
    assert_eq!(calling(0.49, vec![0.99, 1.0]).1, Limit::Generator);
    assert_eq!(calling(0.57, vec![0.2, 0.1]).1, Limit::Unknown);
    let crowded = Facts { in_process: true, threads: 9, queue_wait_share: Some(0.3), ..calm() };
    let (verdict, _, reasons) = self::verdict(&crowded);
    assert_eq!(verdict, Verdict::Untrusted);
    assert!(reasons.contains("share 8 cores; clients"), "{reasons}");
    assert!(reasons.contains("--threads 8 "), "{reasons}");
}

#[test]
fn replies_that_nobody_asked_for_leave_nothing_to_trust() {
    let (verdict, limit, reasons) = verdict(&Facts { unsolicited: 2, ..calm() });
    assert_eq!((verdict, limit), (Verdict::Untrusted, Limit::Server));
    assert!(reasons.starts_with("2 connections brought more replies"), "{reasons}");
}

#[test]
fn a_busy_thread_of_a_server_is_the_limit_of_a_trusted_measurement() {
    let at = |busiest_thread| {
        let servers = vec![None, Some(ServerLoad { cores: 1.0, busiest_thread })];
        verdict(&Facts { servers, ..calm() })
    };
    assert_eq!(at(0.899).1, Limit::Unknown);
    let (verdict, limit, reasons) = at(0.90);
    assert_eq!((verdict, limit), (Verdict::Trusted, Limit::Server));
    assert!(reasons.contains("busiest thread of a server used 90.0 % of a core"), "{reasons}");
}

#[test]
fn many_threads_are_the_limit_only_when_they_have_used_up_the_cores() {
    // The workers use 0.9 of the eight cores.
    let at = |cores: f64| {
        let server = ServerLoad { cores: cores / 2.0, busiest_thread: 0.2 };
        verdict(&Facts { servers: vec![Some(server), Some(server)], ..calm() })
    };
    for cores in [0.97, 2.0, 6.2] {
        assert_eq!(at(cores).1, Limit::Unknown, "{cores}");
    }
    let (verdict, limit, reasons) = at(6.4);
    assert_eq!((verdict, limit), (Verdict::Trusted, Limit::Server));
    assert!(reasons.contains("together used 91.3 % of the 8 cores"), "{reasons}");
}

#[test]
fn a_server_elsewhere_is_not_blamed_for_cores_that_the_workers_use() {
    let worker_shares = vec![0.85; 9];
    let facts = Facts { worker_shares, servers: vec![None], ..calm() };
    assert_eq!(verdict(&facts).1, Limit::Unknown);
}

#[test]
fn a_worker_at_the_end_of_its_core_makes_the_generator_the_limit() {
    let at = |share| verdict(&Facts { worker_shares: vec![0.2, share], ..calm() });
    assert_eq!(at(0.899).0, Verdict::Trusted);
    let (verdict, limit, reasons) = at(0.90);
    assert_eq!((verdict, limit), (Verdict::Untrusted, Limit::Generator));
    assert!(reasons.contains("90.0 % of a core"), "{reasons}");
}

#[test]
fn waiting_for_cores_makes_shared_cores_the_limit() {
    let at = |share| verdict(&Facts { queue_wait_share: Some(share), ..calm() });
    assert_eq!(at(0.05).0, Verdict::Trusted);
    let (verdict, limit, reasons) = at(0.051);
    assert_eq!((verdict, limit), (Verdict::Untrusted, Limit::SharedCores));
    assert!(reasons.contains("5.1 %"), "{reasons}");
}

#[test]
fn throttling_and_steal_above_one_percent_are_not_trusted() {
    let throttled = |share| verdict(&Facts { throttled_share: Some(share), ..calm() });
    let stolen = |share| verdict(&Facts { steal_share: share, ..calm() });
    assert_eq!(throttled(0.01).0, Verdict::Trusted);
    assert_eq!(stolen(0.01).0, Verdict::Trusted);
    let (verdict, limit, reasons) = throttled(0.02);
    assert_eq!((verdict, limit), (Verdict::Untrusted, Limit::SharedCores));
    assert!(reasons.contains("CPU quota stopped us for 2.0 %"), "{reasons}");
    let (verdict, _, reasons) = stolen(0.02);
    assert_eq!(verdict, Verdict::Untrusted);
    assert!(reasons.contains("hypervisor took 2.0 %"), "{reasons}");
}

#[test]
fn what_others_took_is_not_got_back_with_fewer_callers() {
    let throttled = Facts { throttled_share: Some(0.02), ..calm() };
    let stolen = Facts { steal_share: 0.02, queue_wait_share: Some(0.5), ..calm() };
    for (facts, remedy) in [(throttled, "raise the CPU quota"), (stolen, "a machine of your own")] {
        let (_, _, reasons) = verdict(&facts);
        assert!(reasons.contains(remedy) && !reasons.contains("--threads"), "{reasons}");
    }
}

#[test]
fn what_the_kernel_does_not_tell_is_not_trusted() {
    let (verdict, limit, reasons) = verdict(&Facts { queue_wait_share: None, ..calm() });
    assert_eq!((verdict, limit), (Verdict::Untrusted, Limit::Unknown));
    assert!(reasons.contains("schedstat"), "{reasons}");
}

#[test]
fn a_measurement_too_short_to_tell_is_not_trusted() {
    assert_eq!(verdict(&Facts { wall_s: 0.2, ..calm() }).0, Verdict::Trusted);
    let (verdict, limit, reasons) = verdict(&Facts { wall_s: 0.199, ..calm() });
    assert_eq!((verdict, limit), (Verdict::Untrusted, Limit::Unknown));
    assert!(reasons.contains("0.199 s") && reasons.contains("more --requests"), "{reasons}");
}

#[test]
fn a_measurement_without_a_success_is_not_trusted() {
    let calm = judge(&calm());
    assert_eq!(with_outcome(calm.clone(), 100, 99), calm);
    for attempted in [0, 100] {
        let trust = with_outcome(calm.clone(), attempted, attempted);
        assert_eq!((trust.verdict, trust.limited_by), (Verdict::Untrusted, Limit::Unknown));
        assert!(trust.reasons[0].contains("no operation succeeded"), "{trust:?}");
    }
}

#[test]
fn no_quota_is_no_throttling() {
    assert_eq!(verdict(&Facts { throttled_share: None, ..calm() }).0, Verdict::Trusted);
}

#[test]
fn more_threads_than_cores_are_pointed_out_whatever_the_verdict() {
    let facts = Facts { cores: 2, threads: 32, clients: 1, ..calm() };
    let (_, _, reasons) = verdict(&facts);
    assert!(reasons.contains("32 worker threads share 2 cores"), "{reasons}");
    assert!(reasons.contains("--threads 1 --clients 32 is the same number"), "{reasons}");
    let (_, _, reasons) = verdict(&Facts { cores: 8, threads: 15, clients: 1, ..calm() });
    assert!(reasons.contains("--threads 4 --clients 4 are 16 callers instead of 15"), "{reasons}");
}

#[test]
fn an_untrusted_measurement_prints_the_command_to_try() {
    let facts = Facts { queue_wait_share: Some(0.5), ..calm() };
    let (_, _, reasons) = verdict(&facts);
    let command = "kv-bench run --servers 1 --value 'a b' --threads 4 --clients 1";
    assert!(reasons.contains(command), "{reasons}");
}

#[test]
fn the_command_to_try_replaces_callers_and_outputs_in_every_form() {
    let forms: &[&[&str]] = &[
        &["-t32", "-c8"],
        &["-t", "32", "-c=8"],
        &["--threads=32", "--clients", "8"],
        &["--json", "result.json", "--out=results/x", "--json-out-file=y", "--curve-time", "5s"],
    ];
    let rest = ["--servers", "1"];
    for form in forms {
        let arguments = form.iter().chain(&rest).map(|&word| word.to_owned()).collect();
        let facts = Facts { queue_wait_share: Some(0.5), arguments, ..calm() };
        let (_, _, reasons) = verdict(&facts);
        let command = "kv-bench run --servers 1 --threads 4 --clients 1";
        assert!(reasons.contains(command), "{form:?}: {reasons}");
    }
    let arguments = ["-qt32", "--seed", "7"].map(str::to_owned).to_vec();
    let (_, _, reasons) = verdict(&Facts { queue_wait_share: Some(0.5), arguments, ..calm() });
    assert!(reasons.contains("run -q --seed 7 --threads 4 --clients 1"), "{reasons}");
}

#[test]
fn the_lightest_load_is_told_to_move_the_servers() {
    let facts = Facts { queue_wait_share: Some(0.5), cores: 2, threads: 1, clients: 1, ..calm() };
    let (_, _, reasons) = verdict(&facts);
    assert!(reasons.contains("run the servers elsewhere"), "{reasons}");
}

#[test]
fn a_running_server_is_not_to_be_named_as_a_target_again() {
    let least = Facts { queue_wait_share: Some(0.5), threads: 1, clients: 1, ..calm() };
    let running = Facts { spawned: false, ..least.clone() };
    let elsewhere = Facts { servers: vec![None], ..running.clone() };
    for (facts, remedy) in
        [(running, "beside its servers: run kv-bench on another one"), (elsewhere, "more cores")]
    {
        let (_, _, reasons) = verdict(&facts);
        assert!(reasons.contains(remedy) && !reasons.contains("--target"), "{reasons}");
    }
}

#[test]
fn a_machine_that_others_keep_busy_is_not_blamed_on_the_callers() {
    let busy = |facts: Facts| {
        verdict(&Facts { queue_wait_share: Some(0.5), others_share: Some(0.4), ..facts })
    };
    for facts in [calm(), Facts { threads: 1, clients: 1, ..calm() }] {
        let (word, limit, reasons) = busy(facts);
        assert_eq!((word, limit), (Verdict::Untrusted, Limit::SharedCores));
        assert!(reasons.contains("other processes used 40.0 % of the cores"), "{reasons}");
        assert!(reasons.contains("measure again when they are quiet"), "{reasons}");
        assert!(!reasons.contains("likely trusted") && !reasons.contains("even one"), "{reasons}");
    }
    let (_, _, reasons) = busy(Facts { threads: 32, ..calm() });
    assert!(reasons.contains("likely trusted"), "too many are too many: {reasons}");
    for (share, told) in [(Some(0.0999), false), (Some(0.1), true), (None, false)] {
        let (word, _, reasons) = verdict(&Facts { others_share: share, ..calm() });
        assert_eq!(word, Verdict::Trusted);
        assert_eq!(reasons.contains("other processes"), told, "{reasons}");
    }
}

#[test]
fn the_command_to_try_keeps_what_is_measured() {
    let words = "run --pipeline 16 --value-size 1k --preload --keys=7 --mix get=50,put=50";
    let arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let facts = Facts { queue_wait_share: Some(0.5), pipeline: 16, arguments, ..calm() };
    let (_, _, reasons) = verdict(&facts);
    let kept = format!("likely trusted: kv-bench {words} --threads 4 --clients 1");
    assert!(reasons.contains(&kept), "{reasons}");
    // One caller with a pipeline can only be asked for a shorter one.
    let (_, _, reasons) = verdict(&Facts { threads: 1, clients: 1, ..facts });
    let rest = words.replace("--pipeline 16 ", "");
    let shorter = format!("likely trusted: kv-bench {rest} --pipeline 1");
    assert!(reasons.contains(&shorter), "{reasons}");
}

#[test]
fn a_server_that_was_lost_makes_the_measurement_untrusted_and_one_that_came_back_does_not() {
    let told = ["a: away".to_owned()];
    for (lost, expected) in
        [(false, (Verdict::Trusted, Limit::Unknown)), (true, (Verdict::Untrusted, Limit::Server))]
    {
        let trust = with_outages(judge(&Facts { server_lost: lost, ..calm() }), &told);
        assert_eq!((trust.verdict, trust.limited_by), expected);
        assert_eq!(trust.reasons[0], "a: away");
    }
}

#[test]
fn a_kernel_that_does_not_count_waiting_is_not_taken_for_no_waiting() {
    assert_eq!(schedstat_wait_ns("0 0 0\n"), None);
    assert_eq!(schedstat_wait_ns("5126 0 1\n"), Some(0));
    assert_eq!(schedstat_wait_ns("5126 77 1\n"), Some(77));
    assert_eq!(schedstat_wait_ns(""), None);
    assert_eq!(schedstat_wait_ns("5126 seven 1\n"), None);
}

/// An open loop that kept its schedule.
fn on_time() -> Pace {
    Pace {
        asked_ops_s: Some(10_000.0),
        achieved_ops_s: 9_990.0,
        lateness_p99_us: 10.0,
        response_p50_us: 100.0,
        waited_share: 0.0,
    }
}

fn paced(pace: Pace, facts: Facts) -> (Verdict, Limit, String) {
    verdict(&Facts { pace: Some(pace), ..facts })
}

#[test]
fn an_open_loop_that_is_late_by_a_tenth_of_what_it_measures_is_not_trusted() {
    let (word, limit, reasons) = paced(on_time(), calm());
    assert_eq!((word, limit), (Verdict::Trusted, Limit::Unknown));
    assert!(reasons.starts_with("99 % of operations were sent within 10 µs"), "{reasons}");
    let late = Pace { lateness_p99_us: 10.1, ..on_time() };
    let (word, limit, reasons) = paced(late, calm());
    assert_eq!((word, limit), (Verdict::Untrusted, Limit::Generator));
    assert!(reasons.contains("the workers came late, though clients had room"), "{reasons}");
}

#[test]
fn an_open_loop_is_not_blamed_for_waiting_for_a_core_that_made_nothing_late() {
    let waiting = Facts { queue_wait_share: Some(0.2), ..calm() };
    assert_eq!(paced(on_time(), waiting.clone()).0, Verdict::Trusted);
    let unknown = Facts { queue_wait_share: None, ..calm() };
    assert_eq!(paced(on_time(), unknown).0, Verdict::Trusted);
    let late = Pace { lateness_p99_us: 50.0, ..on_time() };
    let (word, limit, reasons) = paced(late, waiting);
    assert_eq!((word, limit), (Verdict::Untrusted, Limit::SharedCores));
    assert!(reasons.contains("waited for a core 20.0 %"), "{reasons}");
}

#[test]
fn too_few_clients_make_the_schedule_the_limit_and_more_are_advised() {
    let late = Pace { lateness_p99_us: 500.0, waited_share: 0.02, ..on_time() };
    let words = "run --rate 10k --threads 2 --clients=4";
    let arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let (word, limit, reasons) = paced(late, Facts { arguments, ..calm() });
    assert_eq!((word, limit), (Verdict::Untrusted, Limit::Schedule));
    assert!(reasons.contains("2.0 % of the operations waited for a client"), "{reasons}");
    let command = "likely trusted: kv-bench run --rate 10k --threads 2 --clients 16";
    assert!(reasons.contains(command), "{reasons}");
}

#[test]
fn servers_that_do_not_keep_up_are_asked_for_less() {
    let late = Pace {
        lateness_p99_us: 1e6,
        response_p50_us: 5e5,
        waited_share: 0.9,
        achieved_ops_s: 6_000.0,
        ..on_time()
    };
    for rate in ["--rate 10k", "--rate=10k", "--rps 10k", "--qps=1k..50k", "-R 10k", "-R10k"] {
        let words = format!("run {rate} --clients 4");
        let arguments = words.split(' ').map(str::to_owned).collect();
        let (word, limit, reasons) = paced(late, Facts { arguments, ..calm() });
        assert_eq!((word, limit), (Verdict::Untrusted, Limit::Schedule));
        assert!(reasons.contains("answered 6,000 of the 10,000 ops/s"), "{reasons}");
        let command = "likely trusted: kv-bench run --clients 4 --rate 4200";
        assert!(reasons.contains(command), "{reasons}");
    }
    let busy = vec![Some(ServerLoad { cores: 1.0, busiest_thread: 0.95 })];
    let (_, limit, reasons) = paced(late, Facts { servers: busy, ..calm() });
    assert_eq!(limit, Limit::Server);
    assert!(reasons.contains("used 95.0 % of a core"), "{reasons}");
}

/// Whatever else is wrong with it, an open loop that kept its schedule is judged by it.
#[test]
fn each_other_reason_for_doubt_holds_in_an_open_loop_too() {
    let base = calm();
    let busy = Facts { worker_shares: vec![0.2, 0.9], ..base.clone() };
    let throttled = Facts { throttled_share: Some(0.011), ..base.clone() };
    let stolen = Facts { steal_share: 0.011, ..base.clone() };
    let absent = Facts { absent_s: 0.11, ..base.clone() };
    let short = Facts { wall_s: 0.199, ..base.clone() };
    let lost = Facts { server_lost: true, ..base };
    let cases = [
        (busy, Limit::Generator),
        (throttled, Limit::SharedCores),
        (stolen, Limit::SharedCores),
        (absent, Limit::Generator),
        (short, Limit::Unknown),
        (lost, Limit::Server),
    ];
    for (facts, expected) in cases {
        let (word, limit, reasons) = paced(on_time(), facts);
        assert_eq!((word, limit), (Verdict::Untrusted, expected), "{reasons}");
    }
}

#[test]
fn a_generator_that_did_not_run_for_a_hundredth_of_the_time_blames_itself() {
    let at = |absent_s| verdict(&Facts { absent_s, ..calm() });
    assert_eq!(at(0.1).0, Verdict::Trusted);
    let (word, limit, reasons) = at(0.101);
    assert_eq!((word, limit), (Verdict::Untrusted, Limit::Generator));
    assert!(reasons.contains("kv-bench itself did not run for 101 ms"), "{reasons}");
}

#[test]
fn involuntary_switches_stand_beside_the_wait_for_a_core() {
    for queue_wait_share in [0.01, 0.5] {
        let (_, _, reasons) =
            verdict(&Facts { queue_wait_share: Some(queue_wait_share), ..calm() });
        assert!(reasons.contains("12 involuntary switches a second"), "{reasons}");
    }
    let unknown = Facts { involuntary_switches_s: None, ..calm() };
    assert!(!verdict(&unknown).2.contains("switches"));
}

#[test]
fn the_command_to_try_after_a_search_is_a_single_measurement() {
    let words = "find-max --slo p99=1ms --time=20s --slo=errors=1% --keys 7 --threads 9";
    let arguments = words.split(' ').map(str::to_owned).collect();
    let (_, _, reasons) = verdict(&Facts { queue_wait_share: Some(0.5), arguments, ..calm() });
    let command = "likely trusted: kv-bench run --keys 7 --threads 4 --clients 1";
    assert!(reasons.contains(command), "{reasons}");
}

#[test]
fn workers_that_wait_for_a_trace_to_be_read_measure_the_reader() {
    let at = |hungry_share| verdict(&Facts { hungry_share, ..calm() });
    assert_eq!(at(0.01).0, Verdict::Trusted);
    let (verdict, limit, reasons) = at(0.011);
    assert_eq!((verdict, limit), (Verdict::Untrusted, Limit::Generator));
    assert!(reasons.contains("had nothing to send for 1.1 % of the time"), "{reasons}");
    assert!(reasons.contains("a plain file is read faster than a compressed one"), "{reasons}");
}

/// What a trace on standard input asks for is known when it is over.
#[test]
fn an_open_loop_of_no_known_rate_is_judged_by_its_lateness_too() {
    let unknown = Pace { asked_ops_s: None, achieved_ops_s: 500.0, ..on_time() };
    assert_eq!(paced(unknown, calm()).0, Verdict::Trusted);
    let late = Pace { lateness_p99_us: 1e6, waited_share: 0.5, ..unknown };
    let (word, limit, reasons) = paced(late, calm());
    assert_eq!((word, limit), (Verdict::Untrusted, Limit::Schedule));
    assert!(reasons.contains("50.0 % of the operations waited for a client"), "{reasons}");
    assert!(!reasons.contains("asked for"), "{reasons}");
}

#[test]
fn a_trace_that_servers_do_not_keep_up_with_is_advised_a_lower_speed() {
    let pace = Pace {
        asked_ops_s: Some(1000.0),
        achieved_ops_s: 500.0,
        lateness_p99_us: 1e6,
        response_p50_us: 1e5,
        waited_share: 0.5,
    };
    let facts = Facts { pace: Some(pace), trace_speed: Some(4.0), ..calm() };
    let (_, _, reasons) = verdict(&facts);
    assert!(reasons.contains("--trace-speed 1.400"), "{reasons}");
    assert!(!reasons.contains("--rate"), "{reasons}");
}
