//! Any bytes from a client: they mean the same in whatever pieces they arrive, and what was
//! understood of them means the same when it is sent again.

use kv_core::resp::{Encoder, RequestLimits};

use super::tape::Tape;
use crate::pieces::{Outcome, Request, decode_pieces};

/// Longer inputs are not sent byte by byte.
const ONE_BY_ONE_BYTES_MAX: usize = 600;

/// Two bytes choose limits and pieces; the others arrive.
pub(crate) fn check(input: &[u8]) {
    let mut tape = Tape::new(input);
    let (choice, step) = (tape.byte(), usize::from(tape.byte()) + 1);
    let sent = tape.rest();
    let limits = RequestLimits {
        authenticated: choice & 1 == 0,
        line_bytes_max: if choice & 2 == 0 { 64 * 1024 } else { 20 },
        request_bytes_max: if choice & 4 == 0 { 1024 * 1024 * 1024 } else { 200 },
        ..RequestLimits::DEFAULT
    };
    let whole = decode(limits, sent, sent.len().max(1));
    assert_eq!(decode(limits, sent, step), whole, "pieces of {step} bytes");
    if sent.len() <= ONE_BY_ONE_BYTES_MAX {
        assert_eq!(decode(limits, sent, 1), whole, "byte by byte");
    }
    let (requests, _) = whole;
    let args: usize = requests.iter().flatten().map(Vec::len).sum();
    assert!(args <= sent.len(), "{args} bytes of arguments in {} bytes", sent.len());
    let again: Vec<u8> = requests.iter().flat_map(encode).collect();
    assert_eq!(decode(RequestLimits::DEFAULT, &again, again.len().max(1)), (requests, Ok(0)));
}

fn decode(limits: RequestLimits, sent: &[u8], step: usize) -> Outcome {
    let cuts: Vec<usize> = (step..sent.len()).step_by(step).collect();
    decode_pieces(limits, sent, &cuts)
}

fn encode(request: &Request) -> Vec<u8> {
    let mut out = Encoder::default();
    out.array(request.len());
    for arg in request {
        out.bulk(arg);
    }
    std::mem::take(out.bytes_mut())
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sent: [&[u8]; 12] = [
        b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n",
        b"PING\r\nSET k \"a b\\x41\\n\" \r\n",
        b"set 'it''s' 'a\\'b'\n",
        b"*0\r\n*-1\r\n\r\n  \r\nPING\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n:1\r\n",
        b"*1048576\r\n$536870912\r\nx",
        b"*1048577\r\n",
        b"*11\r\n$4\r\nPING\r\n",
        b"*1\r\n$16385\r\n",
        b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n\0\0\0",
        b"GET \x0b\x0c\"unbalanced\r\n",
    ];
    let choices: [&[u8]; 4] = [&[0, 2], &[1, 0], &[2, 6], &[7, 3]];
    sent.iter().flat_map(|sent| choices.map(|choice| [choice, sent].concat())).collect()
}
