//! `--create-roles`: the roles that the chosen part names and the server lacks, made before anything else and taken
//! away again if the restore fails.

use crate::archive::ReadAt;
use crate::error::{Error, Result};
use crate::job::Adaptation;
use crate::pg::connect::Server;
use crate::pg::new_roles::{NewRoles, present};
use crate::pg::properties::Properties;
use crate::pg::session::Session;

use super::Work;
use super::survey;

#[derive(Default)]
pub struct Roles {
    made: NewRoles,
    pub left_behind: Vec<String>,
    pub warnings: Vec<String>,
}

impl Roles {
    pub async fn create<R: ReadAt>(
        &mut self,
        work: &Work<'_, R>,
        properties: &Properties,
        adaptation: &Adaptation,
        admin: &Session,
    ) -> Result<()> {
        if !adaptation.create_roles {
            return Ok(());
        }
        let named = survey::of(work.archive, work.chosen, work.fitting)?.roles;
        let missing = named.difference(&present(admin).await?).cloned().collect();
        let new = NewRoles::of(properties, &missing, |name| adaptation.tailoring.role(name).to_owned());
        if new.is_empty() {
            return Ok(());
        }
        self.left_behind = new.create(admin).await?;
        self.made = new;
        let logins = self.made.logins();
        if !logins.is_empty() {
            let all = logins.join(", ");
            self.warnings.push(format!("roles were created without a password, since archives hold none: {all}"));
        }
        Ok(())
    }

    /// The restore failed: the roles that this run made go again, as far as nothing belongs to them.
    pub async fn undo(self, error: Error, server: &Server) -> Error {
        if self.made.is_empty() {
            return error;
        }
        match Session::open_maintenance(server).await {
            Ok(admin) => self.made.drop_again(&admin).await.into_iter().fold(error, Error::note),
            Err(left) => error.note(format!("roles that this run had created could not be dropped: {}", left.chain())),
        }
    }
}
