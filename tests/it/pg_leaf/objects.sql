-- Objects of every kind outside of relations. ROLE_OWNER and APP stand for two roles of the test's own.
CREATE SCHEMA s;
CREATE SCHEMA "Odd ""schema""; \! echo" AUTHORIZATION ROLE_OWNER;
COMMENT ON SCHEMA s IS 'it''s a \schema; -- with

lines';
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO APP;
GRANT CREATE ON SCHEMA s TO ROLE_OWNER WITH GRANT OPTION;
SET SESSION AUTHORIZATION ROLE_OWNER;
GRANT CREATE ON SCHEMA s TO APP;
RESET SESSION AUTHORIZATION;
DROP EXTENSION plpgsql;
CREATE EXTENSION plpgsql WITH SCHEMA pg_catalog;
COMMENT ON EXTENSION plpgsql IS 'my own';

CREATE COLLATION s."C 2" (provider = libc, locale = 'C');
CREATE COLLATION s.mixed (provider = libc, lc_collate = 'C', lc_ctype = 'POSIX');
COMMENT ON COLLATION s."C 2" IS 'sorts bytes';

CREATE TYPE s.mood AS ENUM ('sad', 'it''s ok', '嬉しい');
ALTER TYPE s.mood ADD VALUE 'meh' BEFORE 'it''s ok';
ALTER TYPE s.mood OWNER TO ROLE_OWNER;
CREATE TYPE s.nothing AS ENUM ();
CREATE TYPE s.pair AS ("first one" text COLLATE s."C 2", dropped int, second numeric(12,6)[]);
ALTER TYPE s.pair DROP ATTRIBUTE dropped;
COMMENT ON TYPE s.pair IS 'two';
COMMENT ON COLUMN s.pair.second IS 'the second';
REVOKE USAGE ON TYPE s.pair FROM PUBLIC;
GRANT USAGE ON TYPE s.pair TO APP WITH GRANT OPTION;
CREATE TYPE s.announced;
CREATE TYPE s.bt;
CREATE FUNCTION s.bt_in(cstring) RETURNS s.bt LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION s.bt_out(s.bt) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE s.bt (INPUT = s.bt_in, OUTPUT = s.bt_out, LIKE = text, DEFAULT = 'it''s', CATEGORY = 'S', DELIMITER = ';', COLLATABLE = true);
CREATE TYPE s.rng;
CREATE FUNCTION s.canon(s.rng) RETURNS s.rng LANGUAGE internal IMMUTABLE STRICT AS 'int4range_canonical';
CREATE TYPE s.rng AS RANGE (SUBTYPE = int4, CANONICAL = s.canon, SUBTYPE_DIFF = int4range_subdiff);
CREATE TYPE s.text_rng AS RANGE (SUBTYPE = text, SUBTYPE_OPCLASS = text_pattern_ops, COLLATION = s."C 2");
CREATE FUNCTION s.is_fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> ''bad''';
CREATE DOMAIN s.mail AS varchar(300) COLLATE "C" DEFAULT 'a@b'::character varying NOT NULL CONSTRAINT has_at CHECK (VALUE ~ '^[^@\s]+@') CHECK (length(VALUE) < 200);
ALTER DOMAIN s.mail ADD CONSTRAINT fine CHECK (s.is_fine(VALUE)) NOT VALID;
COMMENT ON DOMAIN s.mail IS 'mail';
COMMENT ON CONSTRAINT has_at ON DOMAIN s.mail IS 'at';
GRANT ALL ON DOMAIN s.mail TO APP;

CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
COMMENT ON TRANSFORM FOR int LANGUAGE sql IS 'transform';
CREATE FUNCTION s.with_all("A b" text DEFAULT 'x''\y', OUT o1 int, INOUT begin int DEFAULT 3, VARIADIC rest text[] DEFAULT '{}')
  LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER LEAKPROOF COST 0.25 PARALLEL RESTRICTED
  SET search_path TO 'A b', public, '' SET work_mem TO '8MB' SET "my.setting" TO 'it''s, two'
  AS $body$BEGIN /* $$ $_$ ' \ */ RETURN; END -- $_$body$;
ALTER FUNCTION s.with_all(text, int, text[]) OWNER TO ROLE_OWNER;
ALTER FUNCTION s.with_all(text, int, text[]) DEPENDS ON EXTENSION plpgsql;
COMMENT ON FUNCTION s.with_all(text, int, text[]) IS 'all';
REVOKE ALL ON FUNCTION s.with_all(text, int, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION s.with_all(text, int, text[]) TO APP;
CREATE FUNCTION s.empty_path() RETURNS int LANGUAGE sql SET search_path TO '' AS 'SELECT 1';
CREATE FUNCTION s.many(int) RETURNS SETOF int LANGUAGE sql ROWS 7 SUPPORT pg_catalog.generate_series_int4_support TRANSFORM FOR TYPE int AS 'SELECT 1';
CREATE FUNCTION s.as_table(p s.mood) RETURNS TABLE (a text, "b c" s.pair) LANGUAGE sql AS 'SELECT NULL::text, NULL::s.pair';
CREATE FUNCTION s.win() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE COST 7 AS 'window_row_number';
CREATE FUNCTION s.handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION s.on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE PROCEDURE s.proc(IN a int, INOUT b text DEFAULT 'q') LANGUAGE plpgsql AS 'BEGIN b := a; END';
COMMENT ON PROCEDURE s.proc(int, text) IS 'a procedure';
GRANT EXECUTE ON PROCEDURE s.proc(int, text) TO APP;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO APP;
REVOKE EXECUTE ON FUNCTION pg_catalog.lower(text) FROM PUBLIC;
GRANT USAGE ON TYPE pg_catalog.int4 TO APP;

CREATE LANGUAGE plx HANDLER s.handler;
ALTER LANGUAGE plx OWNER TO ROLE_OWNER;
CREATE TRUSTED LANGUAGE ply HANDLER s.handler;
REVOKE USAGE ON LANGUAGE ply FROM PUBLIC;
GRANT USAGE ON LANGUAGE ply TO APP;
COMMENT ON LANGUAGE ply IS 'trusted';
CREATE ACCESS METHOD gist2 TYPE INDEX HANDLER gisthandler;
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
COMMENT ON ACCESS METHOD gist2 IS 'again';

CREATE AGGREGATE s.total(int) (SFUNC = int4pl, STYPE = int4, INITCOND = '0', MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = int4, MINITCOND = '0', MSSPACE = 8, COMBINEFUNC = int4pl, PARALLEL = SAFE);
CREATE AGGREGATE s.counted(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0', SSPACE = 16);
CREATE AGGREGATE s.lowest(int) (SFUNC = int4smaller, STYPE = int4, SORTOP = <);
CREATE AGGREGATE s.pct(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
CREATE AGGREGATE s.hypo(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);
COMMENT ON AGGREGATE s.counted(*) IS 'counts';
ALTER AGGREGATE s.counted(*) OWNER TO ROLE_OWNER;
REVOKE EXECUTE ON FUNCTION s.counted() FROM PUBLIC;

CREATE FUNCTION s.bt_lt(s.bt, s.bt) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'text_lt';
CREATE FUNCTION s.bt_eq(s.bt, s.bt) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'texteq';
CREATE FUNCTION s.bt_cmp(s.bt, s.bt) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'bttextcmp';
CREATE FUNCTION s.bt_int_eq(s.bt, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE FUNCTION s.bt_neg(s.bt) RETURNS s.bt LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE OPERATOR s.<<< (LEFTARG = s.bt, RIGHTARG = s.bt, FUNCTION = s.bt_lt, COMMUTATOR = OPERATOR(s.>>>), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR s.>>> (LEFTARG = s.bt, RIGHTARG = s.bt, FUNCTION = s.bt_lt, COMMUTATOR = OPERATOR(s.<<<));
CREATE OPERATOR s.=== (LEFTARG = s.bt, RIGHTARG = s.bt, FUNCTION = s.bt_eq, COMMUTATOR = OPERATOR(s.===), MERGES, HASHES, RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR s.=== (LEFTARG = s.bt, RIGHTARG = int, FUNCTION = s.bt_int_eq);
CREATE OPERATOR s.~~~ (RIGHTARG = s.bt, FUNCTION = s.bt_neg);
COMMENT ON OPERATOR s.~~~ (NONE, s.bt) IS 'prefix';
ALTER OPERATOR s.<<< (s.bt, s.bt) OWNER TO ROLE_OWNER;

CREATE OPERATOR FAMILY s.fam USING btree;
ALTER OPERATOR FAMILY s.fam USING btree OWNER TO ROLE_OWNER;
COMMENT ON OPERATOR FAMILY s.fam USING btree IS 'a family';
CREATE OPERATOR CLASS s.bt_ops DEFAULT FOR TYPE s.bt USING btree FAMILY s.fam AS
  OPERATOR 1 s.<<< (s.bt, s.bt), OPERATOR 3 s.=== (s.bt, s.bt), FUNCTION 1 s.bt_cmp(s.bt, s.bt);
ALTER OPERATOR FAMILY s.fam USING btree ADD OPERATOR 3 s.=== (s.bt, int), OPERATOR 5 s.>>> (s.bt, s.bt);
CREATE OPERATOR CLASS s.hash_ops FOR TYPE s.bt USING hash AS OPERATOR 1 s.=== (s.bt, s.bt);
CREATE OPERATOR CLASS s.empty_ops FOR TYPE s.bt USING gist AS STORAGE s.bt;
CREATE OPERATOR CLASS s.gin_ops FOR TYPE s.bt USING gin AS STORAGE int4, FUNCTION 1 (int4, int4) btint4cmp(int4, int4);
COMMENT ON OPERATOR CLASS s.bt_ops USING btree IS 'a class';
ALTER OPERATOR CLASS s.bt_ops USING btree OWNER TO ROLE_OWNER;

CREATE FUNCTION s.to_pair(int) RETURNS s.pair LANGUAGE sql IMMUTABLE AS 'SELECT NULL::s.pair';
CREATE CAST (int AS s.pair) WITH FUNCTION s.to_pair(int) AS IMPLICIT;
CREATE CAST (text AS s.pair) WITH INOUT AS ASSIGNMENT;
CREATE CAST (s.bt AS text) WITHOUT FUNCTION;
COMMENT ON CAST (text AS s.pair) IS 'cast';
CREATE DEFAULT CONVERSION s.latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE CONVERSION s."back again" FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
COMMENT ON CONVERSION s.latin IS 'conversion';
ALTER CONVERSION s.latin OWNER TO ROLE_OWNER;

CREATE TEXT SEARCH PARSER s.parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline);
CREATE TEXT SEARCH TEMPLATE s.template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY s."Dict 1" (TEMPLATE = s.template, STOPWORDS = 'english', Accept = false);
CREATE TEXT SEARCH DICTIONARY s.plain (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION s.config (PARSER = s.parser);
ALTER TEXT SEARCH CONFIGURATION s.config ADD MAPPING FOR asciiword, word WITH s."Dict 1", simple;
ALTER TEXT SEARCH CONFIGURATION s.config ADD MAPPING FOR numhword WITH s.plain;
CREATE TEXT SEARCH CONFIGURATION s.copied (COPY = english);
ALTER TEXT SEARCH DICTIONARY s.plain OWNER TO ROLE_OWNER;
COMMENT ON TEXT SEARCH PARSER s.parser IS 'p';
COMMENT ON TEXT SEARCH TEMPLATE s.template IS 't';
COMMENT ON TEXT SEARCH DICTIONARY s.plain IS 'd';
COMMENT ON TEXT SEARCH CONFIGURATION s.config IS 'c';

CREATE FOREIGN DATA WRAPPER wrap OPTIONS (debug 'true', "Odd name" 'it''s');
CREATE FOREIGN DATA WRAPPER checked VALIDATOR postgresql_fdw_validator;
CREATE SERVER "srv 1" TYPE 't' VERSION '1.2' FOREIGN DATA WRAPPER wrap OPTIONS (host 'h', dbname 'd=e');
ALTER SERVER "srv 1" OWNER TO ROLE_OWNER;
CREATE SERVER plain FOREIGN DATA WRAPPER wrap;
CREATE USER MAPPING FOR PUBLIC SERVER plain;
CREATE USER MAPPING FOR APP SERVER "srv 1" OPTIONS (user 'u', password 'p''w');
COMMENT ON FOREIGN DATA WRAPPER wrap IS 'w';
COMMENT ON SERVER plain IS 's';
GRANT USAGE ON FOREIGN DATA WRAPPER wrap TO APP WITH GRANT OPTION;
GRANT USAGE ON FOREIGN SERVER plain TO APP;

CREATE PUBLICATION everything FOR ALL TABLES WITH (publish_via_partition_root = true);
CREATE PUBLICATION a_few FOR TABLE s.published WITH (publish = 'insert, truncate');
CREATE PUBLICATION nothing WITH (publish = '');
COMMENT ON PUBLICATION a_few IS 'pub';
ALTER PUBLICATION nothing OWNER TO ROLE_OWNER;
CREATE SUBSCRIPTION sub_UNIQUE CONNECTION 'host=localhost dbname=''x''' PUBLICATION p1, "P 2" WITH (connect = false, slot_name = NONE, synchronous_commit = 'local');
COMMENT ON SUBSCRIPTION sub_UNIQUE IS 'sub';

ALTER DEFAULT PRIVILEGES FOR ROLE ROLE_OWNER REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE ROLE_OWNER GRANT SELECT ON TABLES TO APP;
ALTER DEFAULT PRIVILEGES FOR ROLE ROLE_OWNER IN SCHEMA s GRANT USAGE ON SEQUENCES TO APP WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE ROLE_OWNER GRANT CREATE ON SCHEMAS TO APP;
ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT USAGE ON TYPES TO ROLE_OWNER;

SELECT lo_create(4711), lo_from_bytea(4712, '\x00ff5c27'), lo_from_bytea(4713, decode(repeat('0123456789abcdef', 40000), 'hex')), lo_create(4714), lo_from_bytea(4715, decode(repeat('61', 262144), 'hex'));
SELECT lo_put(4714, 600000, 'after a hole');
ALTER LARGE OBJECT 4712 OWNER TO ROLE_OWNER;
GRANT SELECT ON LARGE OBJECT 4713 TO APP;
COMMENT ON LARGE OBJECT 4711 IS 'empty';

CREATE EVENT TRIGGER ev ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION s.on_event();
ALTER EVENT TRIGGER ev DISABLE;
CREATE EVENT TRIGGER "ev 2" ON sql_drop EXECUTE FUNCTION s.on_event();
ALTER EVENT TRIGGER "ev 2" ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER ev IS 'event';
