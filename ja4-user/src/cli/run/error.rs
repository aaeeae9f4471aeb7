//! The exit status of errors of the kernel half.

use crate::capture::attach::AttachError;
use crate::capture::ebpf::KernelError;
use crate::cli::failure::Failure;

pub(super) fn kernel_failure(error: KernelError) -> Failure {
    match error {
        KernelError::NoBtf | KernelError::NoRingBuffer(_) | KernelError::Privilege(_) | KernelError::Load(_) => {
            Failure::system(error)
        }
        _ => Failure::run(error),
    }
}

pub(in super::super) fn attach_failure(error: AttachError) -> Failure {
    match error {
        AttachError::Kernel(error) => kernel_failure(error),
        AttachError::LinkType { .. } | AttachError::XdpWithoutEthernet(_) => Failure::usage(error),
        _ => Failure::run(error),
    }
}
