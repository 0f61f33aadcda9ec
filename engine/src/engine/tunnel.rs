//! The tunnel interface as the plan wants it, and its return when somebody took it away.

use std::io;

use serde_json::json;

use super::Engine;
use crate::log;
use crate::socket::messages::{CommandError, codes};
use crate::tun::{Tunnel, TunnelSettings};

impl Engine {
    /// Says whether anything changed. What fails half-way is gone back on; what can't be gone back on is removed.
    pub(super) fn change_tunnel(
        &mut self,
        wanted: Option<&TunnelSettings>,
    ) -> Result<bool, CommandError> {
        let failed = |error: io::Error| CommandError::new(codes::TUNNEL_FAILED, error.to_string());
        let Some(wanted) = wanted else {
            return Ok(self.tunnel.take().is_some());
        };
        let Some(tunnel) = &mut self.tunnel else {
            let limits = self.config.tunnel.as_ref();
            let limits = limits.ok_or_else(|| {
                CommandError::new(codes::PREFIX_FORBIDDEN, "this engine may have no tunnel")
            })?;
            self.tunnel = Some(
                Tunnel::open(&limits.interface, wanted, self.config.offloads.tun())
                    .map_err(failed)?,
            );
            return Ok(true);
        };
        let before = tunnel.settings().clone();
        if before == *wanted {
            return Ok(false);
        }
        if let Err(error) = tunnel.configure(wanted) {
            if tunnel.configure(&before).is_err() {
                self.tunnel = None;
            }
            return Err(failed(error));
        }
        Ok(true)
    }

    /// What the kernel takes from an interface that goes down is given back when it comes up.
    pub(super) fn tunnel_may_be_up_again(&self, links_up: Option<&[u32]>) {
        let Some(tunnel) = &self.tunnel else { return };
        let is_ours = |links: &[u32]| links.contains(&tunnel.index());
        if links_up.is_none_or(is_ours)
            && let Err(error) = tunnel.restore()
        {
            let problem = error.to_string();
            log::error(
                "the tunnel interface can't have its addresses and routes back",
                json!({ "error": problem }),
            );
        }
    }

    /// The interface was taken away from outside; what was applied still holds, so it is made again.
    pub(super) fn lose_tunnel(&mut self, error: &io::Error) {
        let problem = error.to_string();
        log::error("the tunnel interface is gone", json!({ "error": problem }));
        self.tunnel = None;
        self.restore_tunnel();
    }

    pub(super) fn restore_tunnel(&mut self) {
        let wanted = self.plan.as_ref().and_then(|plan| plan.tunnel.clone());
        if self.tunnel.is_none()
            && wanted.is_some()
            && let Err(error) = self.change_tunnel(wanted.as_ref())
        {
            log::error(
                "the tunnel can't be made again",
                json!({ "error": error.message }),
            );
        }
    }
}
