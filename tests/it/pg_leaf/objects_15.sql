CREATE PUBLICATION filtered FOR TABLE s.published (id, "B c") WHERE (id > 10 AND "B c" <> 'x');
CREATE PUBLICATION of_schemas FOR TABLES IN SCHEMA s, "Odd ""schema""; \! echo";
ALTER SUBSCRIPTION sub_UNIQUE SET (disable_on_error = true);
