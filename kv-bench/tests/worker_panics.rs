//! Workers that end before their time.

mod run;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kv_bench::driver::{Fleet, Until};
use kv_bench::target::{Handshake, Node, Resp, Target};
use run::{Run, VALUE_SIZE};
use scripted::{Answer, Server};

/// Where the first worker that comes there panics.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trap {
    Connecting,
    Routing,
}

struct Trapped {
    resp: Resp,
    trap: Trap,
    visits: AtomicU32,
}

impl Trapped {
    fn visit(&self, place: Trap) {
        let is_first = place == self.trap && self.visits.fetch_add(1, Ordering::SeqCst) == 0;
        assert!(!is_first, "as the test wants");
    }
}

impl Target for Trapped {
    type Codec = <Resp as Target>::Codec;

    fn nodes(&self) -> Vec<Node> {
        self.resp.nodes()
    }

    fn node(&self, index: usize) -> Node {
        self.resp.node(index)
    }

    fn route(&self, key: &[u8]) -> usize {
        self.visit(Trap::Routing);
        self.resp.route(key)
    }

    fn handshake(&self, node: usize) -> Handshake {
        self.visit(Trap::Connecting);
        self.resp.handshake(node)
    }

    fn codec(&self) -> Self::Codec {
        self.resp.codec()
    }

    fn places(&self) -> usize {
        self.resp.places()
    }
}

/// A run waited for ever for one of several workers that was gone, deaf to Ctrl-C: the others held the
/// channel open on which its end was to show.
#[test]
fn a_worker_that_panics_ends_the_run_with_an_error() {
    let servers = [(), ()].map(|()| Server::start(|_, _| Answer::Normal));
    let run = Run::against(&[&servers[0], &servers[1]]).shape(2, 1, 1);
    let endpoints = run.endpoints();
    let key_size = run.keys().buffer().bytes().len();
    let launch = |trap| {
        let resp = Resp::new(&endpoints, Box::new(|_| 0), key_size, VALUE_SIZE);
        let target = Trapped { resp, trap, visits: AtomicU32::new(0) };
        Fleet::launch(&Arc::new(target), run.shape)
    };
    let refused = launch(Trap::Connecting).err().expect("one is gone");
    assert_eq!(refused.to_string(), "a worker ended early");

    let mut fleet = launch(Trap::Routing).expect("they connect");
    let until = Until::Elapsed(Duration::from_hours(1));
    let gone = fleet.run(&run.workload(), &run.schedule, until, |_| ControlFlow::Continue(()));
    assert_eq!(gone.expect_err("one is gone").to_string(), "a worker ended early");
}
