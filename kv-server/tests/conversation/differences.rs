//! Where our answers may differ from those of Redis 7.0, and why.

/// A request that we answer differently on purpose.
pub(crate) struct Difference {
    pub(crate) request: &'static [u8],
    /// All of it, with that to `QUIT`.
    pub(crate) reply: &'static [u8],
    pub(crate) reason: &'static str,
}

/// Every exception. A test asks both servers, so none outlives its reason.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        request: b"*1048577\r\n",
        reply: b"-ERR Protocol error: invalid multibulk length\r\n",
        reason: "Redis 7.0 takes 2^31 arguments, which became CVE-2025-46686; we take 2^20 as 6.2 did",
    },
    Difference {
        request: b"CLIENT SETINFO lib-name x\r\nCLIENT SETINFO other x\r\nCLIENT SETINFO lib-ver 'a b'\r\n",
        reply: b"+OK\r\n-ERR Unrecognized option 'other'\r\n-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n+OK\r\n",
        reason: "we are 7.2 here, because clients send it when they connect",
    },
    Difference {
        request: b"*2\r\n$3\r\n\xffx\x80\r\n$3\r\n\xc3\xa4\xff\r\n",
        reply: "-ERR unknown command '\u{fffd}x\u{fffd}', with args beginning with: 'ä\u{fffd}' \r\n+OK\r\n".as_bytes(),
        reason: "our errors are UTF-8 whatever was sent, because most clients decode them so",
    },
    Difference {
        request: b"HELLO 2 SETNAME m what\r\nCLIENT GETNAME\r\n",
        reply: b"-ERR Syntax error in HELLO option 'what'\r\n$-1\r\n+OK\r\n",
        reason: "a HELLO that fails changes nothing, as since 7.2",
    },
    Difference {
        request: b"CLIENT NO-TOUCH ON\r\nCLIENT NO-TOUCH off\r\nCLIENT NO-TOUCH x\r\n",
        reply: b"+OK\r\n+OK\r\n-ERR syntax error\r\n+OK\r\n",
        reason: "we are 7.2 here, which brought it",
    },
    Difference {
        request: b"CLIENT TRACKING ON\r\nCLIENT TRACKING OFF\r\n",
        reply: b"-ERR CLIENT TRACKING is not supported: this server sends no invalidation messages, turn client-side caching off\r\n+OK\r\n+OK\r\n",
        reason: "no push messages: who keeps copies must hear that nobody will tell when they are old",
    },
    Difference {
        request: b"DEBUG SLEEP 0\r\nDEBUG SLEEP x\r\nDEBUG SLEEP -1\r\nDEBUG SLEEP nan\r\nDEBUG JMAP\r\nMULTI\r\nDEBUG SLEEP 0\r\nEXEC\r\n",
        reply: b"+OK\r\n-ERR value is not a valid float\r\n-ERR value is not a valid float\r\n-ERR value is not a valid float\r\n-ERR unknown subcommand or wrong number of arguments for 'JMAP'. Try DEBUG HELP.\r\n+OK\r\n+QUEUED\r\n*1\r\n-ERR DEBUG SLEEP is not allowed in a transaction, which holds locks\r\n+OK\r\n",
        reason: "Redis' DEBUG can do anything and is refused; ours can only wait, on one connection",
    },
    Difference {
        request: b"MULTI\r\nCONFIG REWRITE\r\nEXEC\r\n",
        reply: b"+OK\r\n-ERR Command not allowed inside a transaction\r\n-EXECABORT Transaction discarded because of previous errors.\r\n+OK\r\n",
        reason: "a transaction holds locks, and nobody should wait at them for a disk",
    },
    Difference {
        request: b"SET a 5\r\nCOPY a b\r\nOBJECT REFCOUNT a\r\nOBJECT REFCOUNT b\r\n",
        reply: b"+OK\r\n:1\r\n:2147483647\r\n:2147483647\r\n+OK\r\n",
        reason: "nothing is shared here; that Redis shares small integers, but not copies of them, is not worth a bit in each entry",
    },
    Difference {
        request: b"PUT k v\r\nDELETE k\r\n",
        reply: b"+OK\r\n:1\r\n+OK\r\n",
        reason: "the original system's spellings",
    },
];

/// An answer without what no two servers share: the version and the number of the client, which
/// `HELLO` tells.
pub(crate) fn alike(answer: &[u8]) -> Vec<u8> {
    // Redis 7.2 words it so, and that is what we say we are.
    let answer = replace_all(answer, b"HELLO AUTH", |_| (b"HELLO <proto> AUTH", 0));
    let answer = replace_all(&answer, b"$6\r\n7.0.15\r\n", |_| (b"$5\r\n7.2.4\r\n", 0));
    replace_all(&answer, b"$2\r\nid\r\n:", |rest| {
        (b"$2\r\nid\r\n:N", rest.iter().take_while(|byte| byte.is_ascii_digit()).count())
    })
}

/// Replaces each `from`, and as many bytes behind it as `by` says.
fn replace_all(
    mut bytes: &[u8],
    from: &[u8],
    by: impl Fn(&[u8]) -> (&'static [u8], usize),
) -> Vec<u8> {
    let mut replaced = Vec::new();
    while let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        let rest = &bytes[at + from.len()..];
        let (to, more) = by(rest);
        replaced.extend_from_slice(&bytes[..at]);
        replaced.extend_from_slice(to);
        bytes = &rest[more..];
    }
    replaced.extend_from_slice(bytes);
    replaced
}
