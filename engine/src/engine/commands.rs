//! Step 5: commands, and the end of the process.

use std::time::Duration;

use serde_json::json;

use super::Engine;
use crate::frames::CloseCode;
use crate::log;
use crate::session::SendError;
use crate::socket::messages::{Command, CommandError, CommandResult, SendCommand, codes};

/// Commands of one turn: each may rebuild tables, and packets wait meanwhile.
const COMMANDS_PER_TURN: usize = 16;
/// How long peers may take to answer a goodbye at the end of the process.
const GOODBYE: Duration = Duration::from_millis(1_500);

impl Engine {
    pub(super) fn take_commands(&mut self) {
        if self.ready.signals && self.signals.taken() {
            self.stop();
        }
        if !self.ready.commands {
            return;
        }
        for _ in 0..COMMANDS_PER_TURN {
            // On the way out nothing new is begun; who waits sees the socket close.
            let submitted = self.port.next_command().filter(|_| self.stop_by.is_none());
            let Some(submitted) = submitted else {
                return;
            };
            let outcome = self.execute(submitted.command);
            self.port.reply(submitted.ticket, outcome);
        }
    }

    fn execute(&mut self, command: Command) -> Result<CommandResult, CommandError> {
        match command {
            Command::Hello(_) => Ok(CommandResult::Hello(self.hello.clone())),
            Command::Describe => Ok(CommandResult::State(Box::new(self.report()))),
            Command::Apply(apply) => self.apply(&apply.desired).map(CommandResult::Applied),
            Command::Send(send) => self.send(send).map(|()| CommandResult::Done {}),
            Command::Stop => {
                self.drop_intents(CloseCode::GoingAway, "stopped");
                Ok(CommandResult::Done {})
            }
        }
    }

    fn send(&mut self, send: SendCommand) -> Result<(), CommandError> {
        let no_session =
            || CommandError::new(codes::NO_SESSION, format!("no session with {}", send.peer));
        let index = self.peers.by_id(&send.peer).ok_or_else(no_session)?;
        let key = self
            .peers
            .get(index)
            .and_then(|peer| peer.link)
            .ok_or_else(no_session)?;
        let session = self
            .link_mut(key)
            .and_then(|link| link.session.as_mut())
            .ok_or_else(no_session)?;
        session
            .send_message(&send.kind, send.payload.clone())
            .map_err(|error| match error {
                SendError::NoSession => no_session(),
                SendError::Backpressure => {
                    CommandError::new(codes::BACKPRESSURE, "too much waits for this peer")
                }
                SendError::TooLarge => {
                    CommandError::new(codes::TOO_LARGE, "the peer does not accept so much at once")
                }
                SendError::InvalidKind => CommandError::new(
                    codes::INVALID_ARGUMENT,
                    "kind: 1 to 64 visible ASCII characters",
                ),
            })?;
        self.schedule(key);
        Ok(())
    }

    fn stop(&mut self) {
        log::info("stopping", json!({}));
        self.stop_by = Some(self.now.instant + GOODBYE);
        self.leave_all();
    }

    /// Whether a signal came and every session has said goodbye, or had its time to.
    pub(super) fn has_stopped(&self) -> bool {
        let Some(stop_by) = self.stop_by else {
            return false;
        };
        let busy = self
            .links
            .iter()
            .flatten()
            .any(|link| link.session.is_some() || link.scheduled);
        !busy || stop_by <= self.now.instant
    }
}
