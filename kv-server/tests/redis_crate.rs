//! The client of most programs in Rust: the `redis` crate, in both protocols.

mod support;

use std::collections::HashSet;

use redis_client::{
    Client, Commands, Connection, ConnectionLike, ErrorKind, ExistenceCheck, Pipeline, RedisResult,
    ServerErrorKind, SetExpiry, SetOptions, cmd, pipe, transaction,
};
use support::Served;

fn connect(served: &Served, protocol: &str) -> Connection {
    let url = format!("redis://{}/2?protocol={protocol}", served.address);
    Client::open(url).expect("a URL").get_connection().expect("somebody listens")
}

#[test]
fn values_go_in_and_out_in_both_protocols() -> RedisResult<()> {
    for protocol in ["resp2", "resp3"] {
        let served = Served::start();
        let mut redis = connect(&served, protocol);
        assert!(redis.check_connection());
        let _: () = redis.set("k", "v")?;
        assert_eq!(redis.get::<_, String>("k")?, "v");
        assert_eq!(redis.get::<_, Option<String>>("none")?, None);
        let only_new = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::EX(100));
        assert_eq!(redis.set_options::<_, _, Option<String>>("k", "w", only_new.clone())?, None);
        assert_eq!(redis.set_options::<_, _, String>("new", "w", only_new)?, "OK");
        assert!(redis.ttl::<_, i64>("new")? > 90);
        assert_eq!(redis.incr::<_, _, i64>("n", 5)?, 5);
        let half: f64 = redis.incr("f", 0.5)?;
        assert!((half - 0.5).abs() < f64::EPSILON);
        assert_eq!(redis.del::<_, i64>(&["k", "none"])?, 1);
        let binary = vec![0u8, 13, 10, 255];
        let _: () = redis.set("binary", &binary)?;
        assert_eq!(redis.get::<_, Vec<u8>>("binary")?, binary);
        assert!(redis.exists::<_, bool>("binary")?);
        let error = redis.incr::<_, _, i64>("binary", 1).expect_err("no number");
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError));
        let error = cmd("NOSUCH").exec(&mut redis).expect_err("no command");
        assert!(error.to_string().contains("unknown command 'NOSUCH'"), "{error}");
    }
    Ok(())
}

#[test]
fn pipelines_and_transactions_answer_in_order() -> RedisResult<()> {
    for protocol in ["resp2", "resp3"] {
        let served = Served::start();
        let mut redis = connect(&served, protocol);
        let replies: (String, i64, Option<String>) =
            pipe().set("p", 1).incr("p", 1).get("none").query(&mut redis)?;
        assert_eq!(replies, ("OK".to_owned(), 2, None));
        let replies: (i64, i64) = pipe().atomic().incr("p", 1).get("p").query(&mut redis)?;
        assert_eq!(replies, (3, 3));

        let mut other = connect(&served, protocol);
        let mut attempts = 0;
        let sum = transaction(&mut redis, &["p"], |redis, pipe: &mut Pipeline| {
            let old: i64 = redis.get("p")?;
            attempts += 1;
            if attempts == 1 {
                let _: () = other.incr("p", 10)?;
            }
            pipe.set("p", old + 1).ignore().get("p").query::<Option<(i64,)>>(redis)
        })?;
        assert_eq!((sum, attempts), ((14,), 2));

        let pairs: Vec<(String, u32)> = (0..1000).map(|n| (format!("key:{n}"), n)).collect();
        let _: () = redis.mset(&pairs)?;
        let found: HashSet<String> = redis.scan_match("key:*")?.collect::<RedisResult<_>>()?;
        assert_eq!(found.len(), 1000);
    }
    Ok(())
}
