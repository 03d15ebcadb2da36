//! The blocking clients against real redis servers, and against servers that misbehave.

mod peer;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use kv_core::client::{Address, AddressError, Client, ClientError, ConnectOptions};
use kv_core::resp::Protocol;
use kv_core::resp::reply::Value;
use kv_core::ring::{Ring, RingMode};
use kv_core::ring_client::{RingClient, RingClientError};
use peer::{DeadPort, Redis};

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

/// A server that hands its first connection to `serve`.
fn scripted(serve: impl FnOnce(TcpStream) + Send + 'static) -> (Address, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound listener").port();
    let thread = std::thread::spawn(move || serve(listener.accept().expect("a client").0));
    (Address::tcp("127.0.0.1", port), thread)
}

fn impatient() -> ConnectOptions {
    ConnectOptions { reply_timeout: Some(Duration::from_millis(50)), ..ConnectOptions::default() }
}

#[test]
fn calls_answer_over_tcp_and_unix_sockets() {
    let Some(redis) = Redis::start(&[]) else { return };
    for address in [Address::tcp("localhost", redis.port), Address::unix(redis.socket())] {
        let mut client = Client::connect(&address, &ConnectOptions::default()).unwrap();
        assert_eq!(client.call(&["SET", "k", "v"]).unwrap(), ok());
        assert_eq!(client.call(&["GET", "k"]).unwrap(), bulk("v"));
        assert_eq!(client.call(&["DEL", "k"]).unwrap(), Value::Integer(1));
        assert_eq!(client.call(&["GET", "k"]).unwrap(), Value::Null);
        let Value::Error(text) = client.call(&["NOSUCH"]).unwrap() else { panic!("no error") };
        assert!(text.starts_with(b"ERR unknown command"));
        assert_eq!(client.call(&["PING"]).unwrap(), Value::Simple(b"PONG".to_vec()), "goes on");
    }
}

#[test]
fn resp3_login_and_database_are_set_up_before_the_first_call() {
    let Some(redis) = Redis::start(&["--requirepass", "secret"]) else { return };
    let address = Address::tcp("127.0.0.1", redis.port);
    let options = ConnectOptions {
        password: Some("secret".into()),
        db: 3,
        protocol: Protocol::Resp3,
        ..ConnectOptions::default()
    };
    let mut client = Client::connect(&address, &options).unwrap();
    let Value::Verbatim { text, .. } = client.call(&["CLIENT", "INFO"]).unwrap() else {
        panic!("RESP3 has verbatim strings")
    };
    assert!(String::from_utf8_lossy(&text).contains(" db=3 "));
    let pairs = vec![(bulk("maxmemory"), bulk("0"))];
    assert_eq!(client.call(&["CONFIG", "GET", "maxmemory"]).unwrap(), Value::Map(pairs));
}

#[test]
fn refused_logins_and_databases_say_so() {
    let Some(redis) = Redis::start(&["--requirepass", "secret"]) else { return };
    let address = Address::tcp("127.0.0.1", redis.port).named("server_7");
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        for password in [None, Some("wrong".to_owned())] {
            let options = ConnectOptions { password, protocol, ..ConnectOptions::default() };
            if options.password.is_none() && protocol == Protocol::Resp2 {
                continue; // nothing is sent, so nothing is refused yet
            }
            let error = Client::connect(&address, &options).unwrap_err();
            assert!(matches!(error, ClientError::Auth { .. }), "{error:?}");
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("server_7 (127.0.0.1:{}) refused", redis.port))
            );
        }
    }
    let password = Some("secret".to_owned());
    let options = ConnectOptions { password, db: 99, ..ConnectOptions::default() };
    let error = Client::connect(&address, &options).unwrap_err().to_string();
    assert!(error.ends_with("refused database 99: ERR DB index is out of range"), "{error}");
}

#[test]
fn a_pipeline_comes_back_in_order() {
    let Some(redis) = Redis::start(&[]) else { return };
    let address = Address::tcp("127.0.0.1", redis.port);
    let mut client = Client::connect(&address, &ConnectOptions::default()).unwrap();
    for n in 0..50_000 {
        client.send(&["ECHO", &n.to_string()]).unwrap();
    }
    for n in 0..50_000 {
        assert_eq!(client.receive().unwrap(), bulk(&n.to_string()));
    }
}

#[test]
fn a_reply_of_many_elements_arrives_whole() {
    let Some(redis) = Redis::start(&[]) else { return };
    let address = Address::tcp("127.0.0.1", redis.port);
    let mut client = Client::connect(&address, &ConnectOptions::default()).unwrap();
    let script = "local t = {} for i = 1, 200000 do t[i] = tostring(i) end return t";
    let Value::Array(items) = client.call(&["EVAL", script, "0"]).unwrap() else { panic!() };
    assert_eq!((items.len(), &items[199_999]), (200_000, &bulk("200000")));
}

/// Symptom: client and server both block in write, each waiting for the other to read. The server
/// here writes 64 KiB for each request of 64 KiB and reads nothing meanwhile; the pipeline is many
/// times what the sockets' buffers hold.
#[test]
fn a_pipeline_sent_before_anything_is_read_does_not_deadlock() {
    const SIZE: usize = 64 << 10;
    const REQUESTS: usize = 1000;
    let (address, server) = scripted(|mut stream| {
        let value = "v".repeat(SIZE);
        let request = format!("*2\r\n$4\r\nECHO\r\n${SIZE}\r\n{value}\r\n").len();
        let reply = format!("${SIZE}\r\n{value}\r\n");
        let mut buffer = vec![0; request];
        for _ in 0..REQUESTS {
            stream.read_exact(&mut buffer).expect("a request");
            stream.write_all(reply.as_bytes()).expect("room for the reply");
        }
    });
    let mut client = Client::connect(&address, &ConnectOptions::default()).unwrap();
    let value = "v".repeat(SIZE);
    for _ in 0..REQUESTS {
        client.send(&["ECHO", &value]).unwrap();
    }
    for _ in 0..REQUESTS {
        assert_eq!(client.receive().unwrap(), bulk(&value));
    }
    server.join().unwrap();
}

#[test]
fn a_dead_server_is_named_with_the_reason() {
    let dead = DeadPort::new();
    let address = Address::tcp("127.0.0.1", dead.port);
    let error = Client::connect(&address, &ConnectOptions::default()).unwrap_err();
    let expected =
        format!("cannot reach {address}: connection refused; is the server running there?");
    assert_eq!(error.to_string(), expected);

    let error = Client::connect(&Address::unix("/nowhere/kv.sock"), &ConnectOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("cannot reach /nowhere/kv.sock: no such file"), "{error}");

    let long = format!("/{}", "x".repeat(200));
    assert!(Client::connect(&Address::unix(long), &ConnectOptions::default()).is_err());
}

#[test]
fn a_silent_server_times_out_and_the_connection_is_done_with() {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let (address, server) = scripted(move |_stream| wait.recv().unwrap_or_default());
    let mut client = Client::connect(&address, &impatient()).unwrap();
    let error = client.call(&["PING"]).unwrap_err();
    let expected = format!("{address} did not answer within 50ms; a longer timeout may help");
    assert_eq!(error.to_string(), expected);
    assert!(matches!(client.call(&["PING"]), Err(ClientError::Closed { .. })), "no late replies");
    drop(done);
    server.join().unwrap();
}

#[test]
fn a_server_that_takes_nothing_times_out_too() {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let (address, server) = scripted(move |_stream| wait.recv().unwrap_or_default());
    let mut client = Client::connect(&address, &impatient()).unwrap();
    let error = client.send(&["SET", "k", &"v".repeat(64 << 20)]).unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
    drop(done);
    server.join().unwrap();
}

#[test]
fn what_a_server_says_before_it_hangs_up_is_still_read() {
    let (address, server) = scripted(|mut stream| {
        stream.write_all(b"-ERR max number of clients reached\r\n").expect("a listening client");
    });
    let mut client = Client::connect(&address, &ConnectOptions::default()).unwrap();
    server.join().unwrap();
    let parting = Value::Error(b"ERR max number of clients reached".to_vec());
    assert_eq!(client.call(&["PING"]).unwrap(), parting);
    let error = client.call(&["PING"]).unwrap_err();
    assert!(error.to_string().contains("closed the connection before it answered"), "{error}");
}

#[test]
fn a_service_that_is_no_redis_is_told_apart() {
    let (address, server) = scripted(|mut stream| {
        let _ = stream.read(&mut [0; 100]);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("a listening client");
    });
    let mut client = Client::connect(&address, &ConnectOptions::default()).unwrap();
    let error = client.call(&["PING"]).unwrap_err();
    assert!(error.to_string().contains("not a redis reply"), "{error}");
    assert!(matches!(client.receive(), Err(ClientError::Closed { .. })));
    server.join().unwrap();
}

#[test]
fn an_empty_command_is_refused_before_it_is_sent() {
    let nothing: [&str; 0] = [];
    let (address, server) = scripted(drop);
    let mut client = Client::connect(&address, &ConnectOptions::default()).unwrap();
    assert!(matches!(client.call(&nothing), Err(ClientError::Empty { .. })));
    server.join().unwrap();
}

#[test]
fn the_ring_client_asks_the_owner_and_nobody_else() {
    let (Some(a), Some(b), Some(c)) = (Redis::start(&[]), Redis::start(&[]), Redis::start(&[]))
    else {
        return;
    };
    for mode in RingMode::ALL {
        let named = |(n, redis): (usize, &Redis)| {
            Address::tcp("127.0.0.1", redis.port).named(&format!("server_{}", n + 1))
        };
        let addresses: Vec<Address> = [&a, &b, &c].into_iter().enumerate().map(named).collect();
        let options = ConnectOptions::default();
        let mut client = RingClient::new(mode, addresses.clone(), options.clone()).unwrap();
        let ring = Ring::new(mode, &["server_1", "server_2", "server_3"]).unwrap();
        for n in 0..60 {
            let key = format!("{mode}:{n}");
            let owner = ring.owner(key.as_bytes());
            assert_eq!(client.call(&["SET", &key, "v"]).unwrap(), (owner, ok()));
            for (server, address) in addresses.iter().enumerate() {
                let mut direct = Client::connect(address, &options).unwrap();
                let there = direct.call(&["EXISTS", &key]).unwrap();
                assert_eq!(there, Value::Integer(i64::from(server == owner)), "{key} on {server}");
            }
        }
        assert_eq!(client.call_on(1, &["PING"]).unwrap(), Value::Simple(b"PONG".to_vec()));
    }
}

#[test]
fn commands_are_routed_by_all_their_keys_or_refused() {
    let addresses = vec!["a=127.0.0.1:1".parse().unwrap(), "b=127.0.0.1:2".parse().unwrap()];
    let client = RingClient::new(RingMode::Slots, addresses, ConnectOptions::default()).unwrap();
    let owner = |key: &str| client.ring().owner(key.as_bytes());
    let other = (0..1000).map(|n| n.to_string()).find(|key| owner(key) != owner("k")).unwrap();
    for args in [
        &["get", "k"][..],
        &["MSET", "k", &other, "k{k}", "v"],
        &["HSET", "k", &other, "v"],
        &["RENAME", "k", "new{k}"],
        &["PUT", "k", &other],
    ] {
        assert_eq!(client.route(args).unwrap(), owner("k"), "{args:?}");
    }
    for args in
        [&["DEL", "k", &other][..], &["mset", "k", "v", &other, "v"], &["RENAME", "k", &other]]
    {
        let error = client.route(args).unwrap_err();
        assert!(matches!(error, RingClientError::KeysApart { .. }), "{args:?}: {error}");
        assert!(error.to_string().contains("(127.0.0.1:1)"), "{error}");
    }
    for args in [&["PING"][..], &["info", "server"], &["GET"], &["MULTI"], &[]] {
        let error = client.route(args).unwrap_err();
        assert!(matches!(error, RingClientError::NoKey { .. }), "{args:?}: {error}");
    }
}

#[test]
fn the_ring_client_names_a_dead_server_and_comes_back_to_it() {
    let Some(redis) = Redis::start(&[]) else { return };
    let refusing = DeadPort::new();
    let dead = refusing.port;
    let addresses = vec![
        Address::tcp("127.0.0.1", redis.port).named("alive"),
        Address::tcp("127.0.0.1", dead).named("dead"),
    ];
    let mut client =
        RingClient::new(RingMode::Slots, addresses, ConnectOptions::default()).unwrap();
    let keys: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
    let (alive, gone): (Vec<_>, Vec<_>) =
        keys.iter().partition(|key| client.ring().owner(key.as_bytes()) == 0);
    assert!(!alive.is_empty() && !gone.is_empty());
    for key in &gone {
        let error = client.call(&["SET", key, "v"]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot reach dead (127.0.0.1:{dead})")), "{error}");
    }
    for key in &alive {
        assert_eq!(client.call(&["SET", key, "v"]).unwrap(), (0, ok()));
    }
    // The server drops the connection: one call reports it, the next connects again.
    client.call_on(0, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"]).unwrap();
    let results: Vec<bool> = (0..2).map(|_| client.call(&["GET", alive[0]]).is_ok()).collect();
    assert_eq!(results, [false, true]);
}

#[test]
fn addresses_are_read_as_people_write_them() {
    for (text, name, shown) in [
        ("127.0.0.1:6379", "127.0.0.1:6379", "127.0.0.1:6379"),
        ("db.example:1", "db.example:1", "db.example:1"),
        ("[::1]:65432", "[::1]:65432", "[::1]:65432"),
        ("a=[::1]:65432", "a", "a ([::1]:65432)"),
        ("server_1=10.0.0.1:8001", "server_1", "server_1 (10.0.0.1:8001)"),
        ("/run/kv.sock", "/run/kv.sock", "/run/kv.sock"),
        ("unix:///run/kv.sock", "/run/kv.sock", "/run/kv.sock"),
        ("a=/run/kv.sock", "a", "a (/run/kv.sock)"),
        ("/run/a=b.sock", "/run/a=b.sock", "/run/a=b.sock"),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!((address.name(), address.to_string().as_str()), (name, shown), "{text}");
    }
}

#[test]
fn texts_that_are_no_address_say_what_is_missing() {
    let text = |text: &str| text.to_owned();
    for (input, error) in [
        ("", AddressError::Empty),
        ("a=", AddressError::Empty),
        ("unix://", AddressError::Empty),
        ("localhost", AddressError::NoPort(text("localhost"))),
        (":6379", AddressError::NoHost(text(":6379"))),
        ("[]:6379", AddressError::NoHost(text("[]:6379"))),
        ("h:", AddressError::Port(text("h:"))),
        ("h:0", AddressError::Port(text("h:0"))),
        ("h:65536", AddressError::Port(text("h:65536"))),
        ("h:6379x", AddressError::Port(text("h:6379x"))),
        ("::1:6379", AddressError::Ipv6(text("::1:6379"))),
        ("[::1]", AddressError::Ipv6(text("[::1]"))),
        ("=h:1", AddressError::Name(text("=h:1"))),
    ] {
        assert_eq!(input.parse::<Address>(), Err(error), "{input:?}");
    }
}
