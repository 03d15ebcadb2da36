//! What arrives from a client in pieces.

use kv_core::resp::request::Decoded;
use kv_core::resp::{ProtocolError, RequestDecoder, RequestLimits};

pub(crate) type Request = Vec<Vec<u8>>;

/// The requests in an input and how it ends: an error, or so many bytes that wait for more.
pub(crate) type Outcome = (Vec<Request>, Result<usize, ProtocolError>);

/// Feeds `input` in the pieces that end at `cuts`, as a server would.
pub(crate) fn decode_pieces(limits: RequestLimits, input: &[u8], cuts: &[usize]) -> Outcome {
    let mut decoder = RequestDecoder::new(limits);
    let mut requests = Vec::new();
    let mut begin = 0;
    for &end in cuts.iter().chain([&input.len()]) {
        while begin < end {
            match decoder.decode(&input[begin..end]) {
                Err(error) => return (requests, Err(error)),
                Ok(Decoded::More { missing_bytes }) => {
                    assert!(missing_bytes > 0);
                    break;
                }
                Ok(Decoded::Request { args, consumed }) => {
                    assert!((1..=end - begin).contains(&consumed));
                    assert_eq!(args.len(), args.from(0).count());
                    requests.push(args.from(0).map(<[u8]>::to_vec).collect());
                    begin += consumed;
                }
            }
        }
    }
    (requests, Ok(input.len() - begin))
}
