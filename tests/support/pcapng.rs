//! Builder of pcapng files: sections, interfaces and packets in any order.

use std::path::{Path, PathBuf};

use crate::packets::TimedFrame;

/// Link type raw IP (<https://www.tcpdump.org/linktypes.html>).
pub const RAW_IP: u16 = 101;

/// Link type IEEE 802.15.4, which the sensor does not decode.
pub const IEEE_802_15_4: u16 = 195;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// Builder of a pcapng file in little-endian byte order.
#[derive(Clone, Debug)]
pub struct PcapngFile {
    bytes: Vec<u8>,
}

impl Default for PcapngFile {
    fn default() -> Self {
        Self::new()
    }
}

impl PcapngFile {
    /// Creates a file with one section and no interface.
    pub fn new() -> Self {
        let mut file = Self { bytes: Vec::new() };
        file.section();
        file
    }

    /// Starts a section. Its interfaces are numbered from 0.
    pub fn section(&mut self) -> &mut Self {
        let (byte_order, version, unknown_length) = (0x1a2b_3c4d_u32, 1_u32, u64::MAX);
        let body = [&byte_order.to_le_bytes()[..], &version.to_le_bytes(), &unknown_length.to_le_bytes()].concat();
        self.block(SECTION_HEADER, &body)
    }

    /// Adds an interface with timestamps in nanoseconds.
    pub fn interface(&mut self, link: u16, name: &str) -> &mut Self {
        let mut body = [&link.to_le_bytes()[..], &[0, 0], &0x4_0000_u32.to_le_bytes()].concat();
        for (code, value) in [(2_u16, name.as_bytes()), (9, &[9]), (0, &[])] {
            body.extend_from_slice(&code.to_le_bytes());
            body.extend_from_slice(&(value.len() as u16).to_le_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(INTERFACE_DESCRIPTION, &body)
    }

    /// Adds a packet to an interface of the current section.
    pub fn packet(&mut self, interface: u32, packet: &TimedFrame) -> &mut Self {
        self.cut_packet(interface, packet, packet.frame.len())
    }

    /// Adds a packet truncated to at most `snaplen` bytes.
    pub fn cut_packet(&mut self, interface: u32, TimedFrame { time, frame }: &TimedFrame, snaplen: usize) -> &mut Self {
        let captured = &frame[..frame.len().min(snaplen)];
        let (time, length) = (time.as_nanos() as u64, frame.len() as u32);
        let fields = [interface, (time >> 32) as u32, time as u32, captured.len() as u32, length];
        let mut body: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        body.extend_from_slice(captured);
        self.block(ENHANCED_PACKET, &body)
    }

    /// Returns the current contents of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes the file to `folder/name` and returns its path.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn save(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, &self.bytes).unwrap();
        path
    }

    /// Appends a block: type, total length, body, total length again.
    fn block(&mut self, kind: u32, body: &[u8]) -> &mut Self {
        let padded = body.len().next_multiple_of(4);
        let length = (12 + padded as u32).to_le_bytes();
        self.bytes.extend_from_slice(&kind.to_le_bytes());
        self.bytes.extend_from_slice(&length);
        self.bytes.extend_from_slice(body);
        self.bytes.resize(self.bytes.len() + padded - body.len(), 0);
        self.bytes.extend_from_slice(&length);
        self
    }
}
