"""Tools of the company directory and of e-mail."""

from __future__ import annotations

from gym_mcp import ToolError, tool

from .common import Desk, Text, address, day, given, output, page_of, within
from .tables import mail_text


class MailTools(Desk):
    """Look up addresses; read, send, answer, forward and delete mail."""

    @tool(read_only=True)
    def company_directory_find_email_address(self, name: Text = None) -> str:
        """Look up colleagues' e-mail addresses by name.

        Args:
            name: A first name, a last name or a part of one, in any case.
        """
        if not (name or "").strip():
            raise ToolError("Give the name, or a part of it, to look for.")
        words = (name or "").lower().split()
        found = [a for a in self.world.tables.directory if all(w in a.lower() for w in words)]
        return output(found or "No email addresses found.")

    @tool(read_only=True)
    def email_get_email_information_by_id(self, email_id: str, field: str) -> str:
        """Read one field of an e-mail.

        Args:
            email_id: The e-mail's 8-digit id.
            field: `email_id`, `inbox/outbox`, `sender/recipient`, `subject`, `sent_datetime` or `body`.
        """
        return output(self.world.emails.value(email_id, field))

    @tool(read_only=True)
    def email_search_emails(
        self, query: Text = None, date_min: Text = None, date_max: Text = None, page: int = 1, page_size: int = 5
    ) -> str:
        """Find e-mails that contain every word of the query, the newest first.

        Args:
            query: Words to find in the subject, the body or the other person's address.
            date_min: Earliest day of sending, included, as YYYY-MM-DD.
            date_max: Latest day of sending, included, as YYYY-MM-DD.
            page: Which page of the results, from 1.
            page_size: How many e-mails are on a page.
        """
        first, last = day(date_min, "date_min"), day(date_max, "date_max")
        words = (query or "").lower().split()
        known = self.world.tables.mail_text
        found = [
            row
            for row in self.world.emails
            if within(row["sent_datetime"], first, last)
            and all(word in (known.get(id(row)) or mail_text(row)) for word in words)
        ]
        found.sort(key=lambda row: row["sent_datetime"] or "", reverse=True)
        return page_of("emails", found, page, page_size)

    @tool
    def email_send_email(self, recipient: str, subject: str, body: str) -> str:
        """Send a new e-mail.

        Args:
            recipient: Address to send it to.
            subject: The subject line.
            body: The text.
        """
        self._send(recipient, subject, body)
        return output("Email sent successfully.")

    @tool
    def email_delete_email(self, email_id: str) -> str:
        """Delete an e-mail.

        Args:
            email_id: The e-mail's 8-digit id.
        """
        self.world.emails.delete(email_id)
        return output("Email deleted successfully.")

    @tool
    def email_forward_email(self, email_id: str, recipient: str) -> str:
        """Pass an e-mail on to somebody else.

        Args:
            email_id: The 8-digit id of the e-mail to pass on.
            recipient: Address to send it to.
        """
        mail = self.world.emails.find(email_id)
        self._send(recipient, f"FW: {mail['subject'] or ''}", mail["body"] or "")
        return output("Email forwarded successfully.")

    @tool
    def email_reply_email(self, email_id: str, body: str) -> str:
        """Answer an e-mail under the same subject.

        Args:
            email_id: The 8-digit id of the e-mail to answer.
            body: The text of the answer.
        """
        mail = self.world.emails.find(email_id)
        self._send(mail["sender/recipient"] or "", mail["subject"] or "", body)
        return output("Email replied successfully.")

    def _send(self, recipient: str, subject: str, body: str) -> None:
        given(recipient=recipient, subject=subject, body=body)
        self.world.emails.add(
            {
                "inbox/outbox": "outbox",
                "sender/recipient": address(recipient, "recipient"),
                "subject": subject,
                "sent_datetime": self.world.tables.now,
                "body": body,
            }
        )
