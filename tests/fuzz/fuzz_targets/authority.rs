//! `cmp::authority`: what `Repair` and `Joiner` may change, whatever a client sends.
//!
//! The first byte of an input is the size of the pieces in which the rest comes, frames behind a preface.
#![no_main]

use argocd_sops::cmp::authority::{Joiner, Repair};
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD: usize = 9;

/// Nothing is kept outside of them: with the buffer it is all the memory that a connection costs.
const _: () = assert!(size_of::<(Repair, Joiner)>() <= 192 && !std::mem::needs_drop::<(Repair, Joiner)>());

fuzz_target!(|input: &[u8]| {
    let Some((&size, frames)) = input.split_first() else { return };
    let sent = [PREFACE, frames].concat();
    let whole = in_pieces(&sent, sent.len());

    assert_eq!(in_pieces(&sent, 1), whole, "byte by byte");
    assert_eq!(in_pieces(&sent, usize::from(size).max(1)), whole, "in pieces of {size}");
    assert_eq!(in_pieces(&whole, whole.len()), whole, "repaired again");
    assert_eq!(sent.len(), whole.len());

    let mut at = PREFACE.len();
    assert_eq!(sent[..at], whole[..at], "the preface");
    while at < sent.len() {
        let head = at..(at + HEAD).min(sent.len());
        assert_eq!(sent[head.clone()], whole[head.clone()], "the head of a frame");
        let [high, middle, low, kind, ..] = sent[head.clone()] else { break };
        let end = (head.end + u32::from_be_bytes([0, high, middle, low]) as usize).min(sent.len());
        let (before, after) = (&sent[head.end..end], &whole[head.end..end]);
        match kind {
            // HEADERS and CONTINUATION.
            1 | 9 => {
                let mut changes = before.iter().zip(after).filter(|(before, after)| before != after);
                assert!(changes.all(|(_, after)| [b'X', 0xfc].contains(after)), "a byte that is no X");
            }
            _ => assert_eq!(before, after, "a frame of type {kind}"),
        }
        at = end;
    }

    for size in [sent.len(), usize::from(size).max(1), 1] {
        let joined = joined(&sent, size);
        assert!(joined.len() <= sent.len());
        assert!(size > 1 || joined == sent, "nothing stands behind anything else");
        let (before, after) = (meaning(&sent[PREFACE.len()..]), meaning(&joined[PREFACE.len()..]));
        assert_eq!(before, after, "joined in pieces of {size}");
    }
});

/// The frames, with DATA of one stream and without flags taken together; of the last one also what is missing.
fn meaning(mut bytes: &[u8]) -> Vec<([u8; 6], Vec<u8>, usize)> {
    let mut frames: Vec<([u8; 6], Vec<u8>, usize)> = Vec::new();
    while let Some((&[high, middle, low, kind, flags, a, b, c, d], rest)) = bytes.split_first_chunk::<HEAD>() {
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        let (payload, rest) = rest.split_at(length.min(rest.len()));
        let head = [kind, flags, a, b, c, d];
        match frames.last_mut().filter(|(last, ..)| *last == head && kind == 0 && flags == 0) {
            Some((_, data, missing)) => {
                data.extend(payload);
                *missing = length - payload.len();
            }
            None => frames.push((head, payload.to_vec(), length - payload.len())),
        }
        bytes = rest;
    }
    frames.push(([0xff; 6], bytes.to_vec(), 0));
    frames
}

fn joined(sent: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = sent.to_vec();
    let mut joiner = Joiner::default();
    let mut joined = Vec::new();
    for piece in bytes.chunks_mut(size) {
        let kept = joiner.join(piece);
        assert!(kept > 0, "would be read as the end of the stream");
        joined.extend(&piece[..kept]);
    }
    joined
}

fn in_pieces(sent: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = sent.to_vec();
    let mut repair = Repair::default();
    bytes.chunks_mut(size).for_each(|piece| repair.apply(piece));
    bytes
}
