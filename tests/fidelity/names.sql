-- createdb: ENCODING 'UTF8'
-- Names and values that break whoever forgets to quote, or trusts a line to be a line.
CREATE SCHEMA "select";
CREATE SCHEMA "a.b";
CREATE SCHEMA U&"line\000Abreak";
CREATE SCHEMA "\! touch /tmp/owned";
COMMENT ON SCHEMA "select" IS E'a comment\n\\! echo meta\n; DROP SCHEMA "select"; --';

CREATE TABLE "select"."from" ("where" int PRIMARY KEY, "group by" text DEFAULT 'it''s; "fine"', "雪 snow" numeric, "\N" text, "a,b" int, " " int);
INSERT INTO "select"."from" VALUES (1, E'\\.', 1.50, '\N', 1, NULL), (2, E'\\.\n', NULL, NULL, 2, 3), (3, E'\n\\.\nDROP TABLE x;\n', 'NaN', '', 3, 4), (4, E'\t\r\n\b\f\v\\', 0, '\\N', 4, 5);
CREATE INDEX "index "" with a quote" ON "select"."from" ("group by");
CREATE TABLE "a.b"."c.d" ("e.f" serial, "G" int GENERATED ALWAYS AS IDENTITY);
CREATE TABLE "a.b".c ("d.e" int);
INSERT INTO "a.b"."c.d" DEFAULT VALUES;
INSERT INTO "a.b".c VALUES (5);
CREATE TABLE U&"line\000Abreak".U&"tab\0009and\000Dreturn" (U&"col\000Aumn" text CHECK (U&"col\000Aumn" <> E'\n'));
INSERT INTO U&"line\000Abreak".U&"tab\0009and\000Dreturn" VALUES ('x');
CREATE TABLE "\! touch /tmp/owned"."\copy x from program 'id'" ("\gexec" text);
INSERT INTO "\! touch /tmp/owned"."\copy x from program 'id'" VALUES ('\! id'), ('\q'), ('\.'), ('-- not a comment'), ('$$'), ('$tag$');
COMMENT ON TABLE "\! touch /tmp/owned"."\copy x from program 'id'" IS '\.';
CREATE TABLE "ééééééééééééééééééééééééééééééé" ("x" int);
CREATE TABLE "%s%I%n" ("{}" text, "${HOME}" text, "`id`" text);
INSERT INTO "%s%I%n" VALUES ('{}', '${HOME}', '`id`');
CREATE TYPE "type with ""quotes""" AS ENUM ('', ' ', 'a''b', '"', E'\\', '雪');
CREATE DOMAIN "Domain" AS "type with ""quotes""" DEFAULT '"';
CREATE TABLE "Mixed" (v "Domain", w "type with ""quotes"""[]);
INSERT INTO "Mixed" VALUES (DEFAULT, ARRAY['', 'a''b', E'\\', NULL]::"type with ""quotes"""[]), ('雪', '{}');
CREATE FUNCTION "fn ""q"""("in" int, OUT "out" int) LANGUAGE plpgsql AS $fn$ BEGIN -- \. $$ ; '
  "out" := "in"; END $fn$;
CREATE FUNCTION dollar() RETURNS text LANGUAGE sql AS 'SELECT ''$_$ $function$ $$ $body$''::text';
CREATE VIEW "View" AS SELECT "where" AS "where;", "雪 snow" AS "--", E'\\.\n'::text AS "/*" FROM "select"."from";
COMMENT ON COLUMN "View"."--" IS '*/ --';
CREATE SEQUENCE "seq'uence" START 9223372036854775807;
SELECT nextval('"seq''uence"');
CREATE TABLE "-rf" (a int);
CREATE TABLE ".." (a int);
INSERT INTO ".." VALUES (1);
CREATE TRIGGER "zz ""trigger""" BEFORE UPDATE ON "Mixed" FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
