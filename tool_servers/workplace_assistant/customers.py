"""Tools of customer relationship management."""

from __future__ import annotations

from typing import Final

from gym_mcp import tool

from .common import Desk, Text, address, day, given, has, one_of, output, page_of, within

STATUSES: Final = ("Qualified", "Won", "Lost", "Lead", "Proposal")
PRODUCTS: Final = ("Software", "Hardware", "Services", "Consulting", "Training")


class CustomerTools(Desk):
    """Find, add, change and delete customers."""

    @tool(read_only=True)
    def customer_relationship_manager_search_customers(
        self,
        customer_name: Text = None,
        customer_email: Text = None,
        product_interest: Text = None,
        status: Text = None,
        assigned_to_email: Text = None,
        last_contact_date_min: Text = None,
        last_contact_date_max: Text = None,
        follow_up_by_min: Text = None,
        follow_up_by_max: Text = None,
        page: int = 1,
        page_size: int = 5,
    ) -> str:
        """Find the customers that fit everything given; parts of values do, in any case.

        Args:
            customer_name: What the customer's name contains.
            customer_email: What the customer's address contains.
            product_interest: `Software`, `Hardware`, `Services`, `Consulting` or `Training`.
            status: `Qualified`, `Won`, `Lost`, `Lead` or `Proposal`.
            assigned_to_email: Address, or a part of it, of the colleague in charge.
            last_contact_date_min: Last contact on this day or later, as YYYY-MM-DD.
            last_contact_date_max: Last contact on this day or earlier, as YYYY-MM-DD.
            follow_up_by_min: Follow-up due on this day or later, as YYYY-MM-DD.
            follow_up_by_max: Follow-up due on this day or earlier, as YYYY-MM-DD.
            page: Which page of the results, from 1.
            page_size: How many customers are on a page.
        """
        parts = {
            "customer_name": customer_name,
            "customer_email": customer_email,
            "product_interest": product_interest,
            "status": status,
            "assigned_to_email": assigned_to_email,
        }
        contact = (
            day(last_contact_date_min, "last_contact_date_min"),
            day(last_contact_date_max, "last_contact_date_max"),
        )
        follow_up = day(follow_up_by_min, "follow_up_by_min"), day(follow_up_by_max, "follow_up_by_max")
        found = [
            row
            for row in self.world.customers
            if all(has(row[column], part) for column, part in parts.items())
            and within(row["last_contact_date"], *contact)
            and within(row["follow_up_by"], *follow_up)
        ]
        return page_of("customers", found, page, page_size)

    @tool
    def customer_relationship_manager_update_customer(self, customer_id: str, field: str, new_value: str) -> str:
        """Change one field of a customer.

        Args:
            customer_id: The customer's 8-digit id.
            field: `customer_name`, `assigned_to_email`, `customer_email`, `customer_phone`, `last_contact_date`,
                `product_interest`, `status`, `notes` or `follow_up_by`.
            new_value: What the field shall hold.
        """
        given(new_value=new_value)
        self.world.customers.update(customer_id, field, _checked(field, new_value))
        return output("Customer updated successfully.")

    @tool
    def customer_relationship_manager_add_customer(
        self,
        customer_name: str,
        assigned_to_email: str,
        status: str,
        customer_email: Text = None,
        customer_phone: Text = None,
        last_contact_date: Text = None,
        product_interest: Text = None,
        notes: Text = None,
        follow_up_by: Text = None,
    ) -> str:
        """Add a customer; the result is the new id.

        Args:
            customer_name: First and last name.
            assigned_to_email: Address of the colleague in charge.
            status: `Qualified`, `Won`, `Lost`, `Lead` or `Proposal`.
            customer_email: The customer's address.
            customer_phone: The customer's phone number.
            last_contact_date: Day of the last contact, as YYYY-MM-DD.
            product_interest: `Software`, `Hardware`, `Services`, `Consulting` or `Training`.
            notes: Anything worth keeping.
            follow_up_by: Day by which to get back to the customer, as YYYY-MM-DD.
        """
        given(customer_name=customer_name)
        cells = {
            "customer_name": customer_name,
            "assigned_to_email": assigned_to_email,
            "status": status,
            "customer_email": customer_email,
            "customer_phone": customer_phone,
            "last_contact_date": last_contact_date,
            "product_interest": product_interest,
            "notes": notes,
            "follow_up_by": follow_up_by,
        }
        required = ("assigned_to_email", "status")
        return output(
            self.world.customers.add({f: _checked(f, v) if v or f in required else None for f, v in cells.items()})
        )

    @tool
    def customer_relationship_manager_delete_customer(self, customer_id: str) -> str:
        """Delete a customer.

        Args:
            customer_id: The customer's 8-digit id.
        """
        self.world.customers.delete(customer_id)
        return output("Customer deleted successfully.")


def _checked(field: str, value: str | None) -> str:
    value = value or ""
    if field == "status":
        return one_of(value, STATUSES, field)
    if field == "product_interest":
        return one_of(value, PRODUCTS, field)
    if field == "assigned_to_email":
        return address(value, field)
    return value.lower() if field == "customer_email" else value
