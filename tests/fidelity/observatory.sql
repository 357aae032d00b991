-- createdb: ENCODING 'UTF8'
-- An observatory's database: one object at least of nearly every kind that an application makes, with the options
-- that are easily lost on the way. Newer kinds are added where the server knows them. Roles are shared by a server's
-- databases, so they are made once.
SELECT current_setting('server_version_num')::int >= 140000 AS since_14, current_setting('server_version_num')::int >= 150000 AS since_15,
       current_setting('server_version_num')::int >= 160000 AS since_16, current_setting('server_version_num')::int >= 170000 AS since_17,
       current_setting('server_version_num')::int >= 180000 AS since_18 \gset
SET client_min_messages = warning;
SELECT format('CREATE ROLE %I', r) FROM unnest(ARRAY['obs_owner', 'obs_reader', 'obs "night" crew', 'obs_admin']) r
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) \gexec
GRANT obs_owner TO obs_admin;

-- schemas, owners, rights ---------------------------------------------------------------------------------------
CREATE SCHEMA sky AUTHORIZATION obs_owner;
CREATE SCHEMA ops;
CREATE SCHEMA "Archive 2";
COMMENT ON SCHEMA sky IS E'what is observed;\nnot who observes';
GRANT USAGE ON SCHEMA sky TO PUBLIC;
GRANT USAGE, CREATE ON SCHEMA ops TO "obs ""night"" crew" WITH GRANT OPTION;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE obs_owner IN SCHEMA sky GRANT SELECT ON TABLES TO obs_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE obs_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE obs_admin GRANT USAGE ON TYPES TO obs_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA ops GRANT ALL ON SEQUENCES TO obs_admin;

-- extensions, languages -----------------------------------------------------------------------------------------
CREATE EXTENSION hstore WITH SCHEMA ops;
CREATE EXTENSION btree_gist;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION postgres_fdw;
COMMENT ON EXTENSION hstore IS 'loose attributes of instruments';

-- types ---------------------------------------------------------------------------------------------------------
CREATE TYPE sky.band AS ENUM ('radio', 'infrared', 'visible', 'ultra''violet');
ALTER TYPE sky.band ADD VALUE 'x-ray';
ALTER TYPE sky.band ADD VALUE 'micro' BEFORE 'infrared';
CREATE DOMAIN sky.degrees AS double precision DEFAULT 0 NOT NULL CONSTRAINT turns CHECK (VALUE >= -360 AND VALUE <= 360);
CREATE DOMAIN sky.declination AS sky.degrees CHECK (VALUE BETWEEN -90 AND 90);
ALTER DOMAIN sky.declination ADD CONSTRAINT never_pole CHECK (VALUE <> 90) NOT VALID;
CREATE TYPE sky.coordinates AS (ra sky.degrees, decl sky.declination, epoch numeric(6, 1));
CREATE FUNCTION sky.apart(numeric, numeric) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT ($1 - $2)::float8';
CREATE TYPE sky.brightness AS RANGE (SUBTYPE = numeric, SUBTYPE_DIFF = sky.apart);
CREATE TYPE sky.shell;
COMMENT ON TYPE sky.band IS 'part of the spectrum';
COMMENT ON COLUMN sky.coordinates.ra IS 'right ascension';
COMMENT ON CONSTRAINT turns ON DOMAIN sky.degrees IS 'once around, either way';
CREATE COLLATION ops.binary_order (LC_COLLATE = 'C', LC_CTYPE = 'C');

-- functions, procedures, aggregates, operators, casts -----------------------------------------------------------
CREATE FUNCTION sky.separation(a sky.coordinates, b sky.coordinates) RETURNS double precision
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 42 AS 'SELECT abs((a).ra - (b).ra) + abs((a).decl - (b).decl)';
CREATE FUNCTION sky.describe(OUT n bigint, OUT words text, VARIADIC names text[] DEFAULT ARRAY['a', 'b''c']) LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = sky, pg_temp SET work_mem = '8MB' AS $body$
BEGIN -- a body with $$ and ; and 'quotes'
  n := cardinality(names); words := array_to_string(names, $$ ; $$);
END
$body$;
CREATE FUNCTION sky.visible(minimum numeric) RETURNS TABLE (label text, magnitude numeric) LANGUAGE plpgsql ROWS 7 AS
  $$ BEGIN RETURN QUERY SELECT o.label, o.magnitude FROM sky.objects o WHERE o.magnitude <= minimum; END $$;
CREATE PROCEDURE ops.tidy(INOUT removed integer DEFAULT 0) LANGUAGE plpgsql AS $$ BEGIN removed := removed + 1; END $$;
CREATE FUNCTION sky.sum_flux(state numeric, value numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT coalesce(state, 0) + power(10, -0.4 * value)';
CREATE AGGREGATE sky.flux(numeric) (SFUNC = sky.sum_flux, STYPE = numeric, INITCOND = '0', PARALLEL = SAFE);
CREATE AGGREGATE sky.nth(double precision ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
CREATE OPERATOR sky.<~> (LEFTARG = sky.coordinates, RIGHTARG = sky.coordinates, FUNCTION = sky.separation, COMMUTATOR = OPERATOR(sky.<~>));
CREATE FUNCTION sky.to_text(sky.coordinates) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ($1).ra || '' '' || ($1).decl';
CREATE CAST (sky.coordinates AS text) WITH FUNCTION sky.to_text(sky.coordinates) AS ASSIGNMENT;
CREATE FUNCTION sky.by_length(text, text) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT length($1) - length($2)';
CREATE OPERATOR FAMILY sky.length_ops USING btree;
CREATE FUNCTION sky.shorter(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length($1) < length($2)';
CREATE FUNCTION sky.same_length(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length($1) = length($2)';
CREATE OPERATOR sky.<# (LEFTARG = text, RIGHTARG = text, FUNCTION = sky.shorter);
CREATE OPERATOR sky.=# (LEFTARG = text, RIGHTARG = text, FUNCTION = sky.same_length, RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR CLASS sky.text_length_ops FOR TYPE text USING btree FAMILY sky.length_ops AS
  OPERATOR 1 sky.<# (text, text), OPERATOR 3 sky.=# (text, text), FUNCTION 1 sky.by_length(text, text);
COMMENT ON FUNCTION sky.separation IS 'not a real distance';
COMMENT ON AGGREGATE sky.flux(numeric) IS 'sums light, not magnitudes';
COMMENT ON OPERATOR sky.<~> (sky.coordinates, sky.coordinates) IS 'apart';
GRANT EXECUTE ON FUNCTION sky.separation TO obs_reader;
REVOKE EXECUTE ON PROCEDURE ops.tidy FROM PUBLIC;
\if :since_14
CREATE FUNCTION ops.whole_night(d date) RETURNS text LANGUAGE sql STABLE
  BEGIN ATOMIC
    SELECT 'from ' || d::text; SELECT CASE WHEN d > '2000-01-01' THEN 'to; ' || (d + 1)::text ELSE 'END' END;
  END;
CREATE FUNCTION ops.any_of(VARIADIC anycompatiblearray) RETURNS anycompatible LANGUAGE sql AS 'SELECT $1[1]';
CREATE FUNCTION ops.half(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN n / 2;
\endif

-- text search ---------------------------------------------------------------------------------------------------
CREATE TEXT SEARCH DICTIONARY sky.plain (TEMPLATE = pg_catalog.simple, STOPWORDS = english, ACCEPT = false);
CREATE TEXT SEARCH CONFIGURATION sky.names (COPY = pg_catalog.english);
ALTER TEXT SEARCH CONFIGURATION sky.names ALTER MAPPING FOR asciiword, word WITH sky.plain, english_stem;

-- tables --------------------------------------------------------------------------------------------------------
CREATE SEQUENCE ops.countdown AS smallint INCREMENT -3 MINVALUE -300 MAXVALUE 30 START 30 CACHE 5 CYCLE;
SELECT nextval('ops.countdown'), nextval('ops.countdown');
CREATE SEQUENCE ops.untouched START 1000;

CREATE TABLE sky.objects (
  id        integer GENERATED ALWAYS AS IDENTITY (START WITH 7 INCREMENT BY 7) PRIMARY KEY,
  label     text COLLATE ops.binary_order NOT NULL,
  gone      xml,
  place     sky.coordinates,
  magnitude numeric(6, 3) CONSTRAINT plausible CHECK (magnitude > -30),
  loud      boolean GENERATED ALWAYS AS (magnitude < 0) STORED,
  bands     sky.band[] DEFAULT '{visible}',
  attributes ops.hstore,
  words     tsvector,
  seen      tstzrange,
  notes     text DEFAULT E'none\n''yet''' || current_user,
  CONSTRAINT once UNIQUE (label) DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT no_two_at_once EXCLUDE USING gist (label WITH =, seen WITH &&) WHERE (seen IS NOT NULL)
) WITH (fillfactor = 80, autovacuum_enabled = false, toast.autovacuum_vacuum_scale_factor = 0.3);
ALTER TABLE sky.objects DROP COLUMN gone;
ALTER TABLE sky.objects OWNER TO obs_owner;
ALTER TABLE sky.objects ALTER notes SET STORAGE EXTERNAL, ALTER label SET STATISTICS 500, ALTER magnitude SET (n_distinct = -0.5);
ALTER TABLE sky.objects ADD CONSTRAINT named CHECK (label <> '') NOT VALID;
CREATE INDEX objects_words ON sky.objects USING gin (words) WITH (fastupdate = off);
CREATE INDEX objects_bright ON sky.objects (magnitude DESC NULLS LAST, lower(label) text_pattern_ops) INCLUDE (id) WHERE loud;
CREATE INDEX objects_length ON sky.objects (label sky.text_length_ops);
CREATE INDEX objects_similar ON sky.objects USING gist (label gist_trgm_ops);
CREATE INDEX objects_seen ON sky.objects USING brin (id) WITH (pages_per_range = 4);
CREATE UNIQUE INDEX objects_cluster ON sky.objects (label, id);
ALTER TABLE sky.objects CLUSTER ON objects_cluster;
ALTER TABLE sky.objects REPLICA IDENTITY USING INDEX objects_cluster;
ALTER INDEX sky.objects_bright ALTER COLUMN 2 SET STATISTICS 77;
CREATE STATISTICS sky.magnitude_by_label (dependencies, ndistinct) ON label, magnitude FROM sky.objects;
COMMENT ON TABLE sky.objects IS 'stars; and ''others''';
COMMENT ON COLUMN sky.objects.magnitude IS E'smaller is brighter\\';
COMMENT ON CONSTRAINT plausible ON sky.objects IS 'the sun is -26.7';
COMMENT ON INDEX sky.objects_words IS 'search';
COMMENT ON STATISTICS sky.magnitude_by_label IS 'correlated';
GRANT SELECT (id, label), UPDATE (notes) ON sky.objects TO obs_reader;
GRANT ALL ON sky.objects TO "obs ""night"" crew";

CREATE TABLE ops.telescopes (
  code  char(4) PRIMARY KEY,
  since date NOT NULL,
  house integer,
  spec  ops.hstore
);
CREATE TABLE ops.houses (
  number  integer PRIMARY KEY,
  main    char(4) REFERENCES ops.telescopes ON UPDATE CASCADE DEFERRABLE
);
ALTER TABLE ops.telescopes ADD FOREIGN KEY (house) REFERENCES ops.houses ON DELETE SET NULL;
ALTER TABLE ops.telescopes ADD CONSTRAINT renamed FOREIGN KEY (house) REFERENCES ops.houses (number) NOT VALID;

-- partitions: range over list over hash, one attached with another column order and its own default
CREATE TABLE ops.measurements (
  taken     timestamptz NOT NULL,
  telescope char(4) NOT NULL REFERENCES ops.telescopes,
  object    integer REFERENCES sky.objects MATCH FULL,
  value     double precision CHECK (value = value),
  frame     bytea,
  PRIMARY KEY (taken, telescope)
) PARTITION BY RANGE (taken);
CREATE TABLE ops.measurements_old PARTITION OF ops.measurements FOR VALUES FROM (MINVALUE) TO ('2026-01-01 00:00+00') PARTITION BY LIST (telescope);
CREATE TABLE ops.measurements_old_a PARTITION OF ops.measurements_old FOR VALUES IN ('ALFA', 'AURA');
CREATE TABLE ops.measurements_old_rest PARTITION OF ops.measurements_old DEFAULT PARTITION BY HASH (taken);
CREATE TABLE ops.measurements_old_rest_0 PARTITION OF ops.measurements_old_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE ops.measurements_old_rest_1 PARTITION OF ops.measurements_old_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE "Archive 2"."measurements new" (
  frame bytea, telescope char(4) NOT NULL, gone int, taken timestamptz NOT NULL, object integer, value double precision DEFAULT 1.5 CONSTRAINT measurements_value_check CHECK (value = value)
);
ALTER TABLE "Archive 2"."measurements new" DROP COLUMN gone;
ALTER TABLE ops.measurements ATTACH PARTITION "Archive 2"."measurements new" FOR VALUES FROM ('2026-01-01 00:00+00') TO (MAXVALUE);
CREATE INDEX measurements_object ON ops.measurements (object);
CREATE INDEX only_parent ON ONLY ops.measurements (value);

CREATE TABLE ops.log (id bigserial, at timestamptz DEFAULT '2026-02-03 04:05:06.789+00', entry text) WITH (autovacuum_vacuum_threshold = 1000);
CREATE TABLE ops.log_detail (depth int DEFAULT 3, CHECK (depth >= 0) NO INHERIT) INHERITS (ops.log);
ALTER TABLE ops.log_detail ALTER entry SET DEFAULT 'detail';
CREATE UNLOGGED TABLE ops.scratch (k int PRIMARY KEY, v text);
CREATE TABLE ops.typed OF sky.coordinates (PRIMARY KEY (ra, decl), epoch WITH OPTIONS DEFAULT 2000.0);
CREATE TABLE ops.nothing ();
CREATE TABLE ops.emptied (a int, b int);
ALTER TABLE ops.emptied DROP COLUMN a, DROP COLUMN b;

\if :since_14
ALTER TABLE sky.objects ALTER notes SET COMPRESSION pglz;
CREATE TABLE ops.multi (spans int4multirange, span sky.brightness, many datemultirange[]);
INSERT INTO ops.multi VALUES ('{[1,3),[7,9)}', '[1.5,2.5]', ARRAY['{[2026-01-01,2026-02-01)}'::datemultirange]);
CREATE STATISTICS ops.on_expression ON (lower(entry)), id FROM ops.log;
\endif
\if :since_15
CREATE TABLE ops.only_one_null (a int, b int, UNIQUE NULLS NOT DISTINCT (a, b));
INSERT INTO ops.only_one_null VALUES (NULL, 1), (2, NULL);
CREATE VIEW ops.asks_as_reader WITH (security_invoker = true) AS SELECT a FROM ops.only_one_null;
ALTER TABLE ops.only_one_null ADD FOREIGN KEY (a, b) REFERENCES ops.only_one_null (a, b) ON DELETE SET NULL (b);
\endif
\if :since_16
ALTER TABLE ops.only_one_null ALTER a SET STORAGE PLAIN;
CREATE VIEW ops.is_json AS SELECT entry IS JSON OBJECT WITH UNIQUE KEYS AS yes FROM ops.log;
\endif
\if :since_17
CREATE VIEW ops.json_rows AS SELECT j.* FROM ops.log, JSON_TABLE('[{"a": 1}, {"a": 2}]'::jsonb, '$[*]' COLUMNS (n FOR ORDINALITY, a int PATH '$.a' DEFAULT 0 ON EMPTY)) j;
\endif
\if :since_18
CREATE TABLE ops.bookings (room int, during daterange, twice int GENERATED ALWAYS AS (room * 2) VIRTUAL, label text CONSTRAINT must_have NOT NULL,
  PRIMARY KEY (room, during WITHOUT OVERLAPS), CONSTRAINT hoped CHECK (room > 0) NOT ENFORCED);
INSERT INTO ops.bookings VALUES (1, '[2026-01-01,2026-02-01)', DEFAULT, 'a'), (1, '[2026-02-01,2026-03-01)', DEFAULT, 'b');
CREATE TABLE ops.guests (room int, during daterange, FOREIGN KEY (room, PERIOD during) REFERENCES ops.bookings (room, PERIOD during));
ALTER TABLE ops.guests ADD CONSTRAINT later NOT NULL room NOT VALID;
\endif

-- views, rules, materialized views ------------------------------------------------------------------------------
CREATE VIEW sky.bright WITH (security_barrier = true) AS SELECT id, label, magnitude FROM sky.objects WHERE magnitude < 3 WITH CASCADED CHECK OPTION;
ALTER VIEW sky.bright ALTER COLUMN label SET DEFAULT 'unnamed';
CREATE RECURSIVE VIEW ops.numbers (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 5;
CREATE VIEW ops.first_half AS SELECT 1 AS n, 'x'::text AS t;
CREATE VIEW ops.second_half AS SELECT n, t FROM ops.first_half;
CREATE OR REPLACE VIEW ops.first_half AS SELECT h.n, h.t FROM (SELECT 1 AS n, 'x'::text AS t) h;
CREATE RULE log_updates AS ON UPDATE TO ops.scratch WHERE new.v <> old.v DO ALSO INSERT INTO ops.log (entry) VALUES ('was ' || old.v);
CREATE RULE "no; deletes" AS ON DELETE TO ops.scratch DO INSTEAD NOTHING;
ALTER TABLE ops.scratch DISABLE RULE log_updates;
CREATE MATERIALIZED VIEW ops.totals AS SELECT telescope, count(*) AS n, sum(value) AS value FROM ops.measurements GROUP BY telescope;
CREATE UNIQUE INDEX totals_telescope ON ops.totals (telescope);
CREATE MATERIALIZED VIEW ops.of_totals AS SELECT sum(n) AS n FROM ops.totals;
CREATE MATERIALIZED VIEW ops.never_filled AS SELECT 1 AS one WITH NO DATA;
GRANT SELECT ON ops.totals TO obs_reader;
-- a view whose grouping rests on a primary key can only be made after the key
CREATE VIEW sky.by_key AS SELECT o.id, o.label, count(m.taken) AS n FROM sky.objects o LEFT JOIN ops.measurements m ON m.object = o.id GROUP BY o.id;
CREATE FUNCTION ops.rows_of(v sky.by_key) RETURNS bigint LANGUAGE sql AS 'SELECT v.n';

-- triggers, policies, event triggers ----------------------------------------------------------------------------
CREATE FUNCTION ops.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ops.log (entry) VALUES (tg_name); RETURN coalesce(new, old); END $$;
CREATE TRIGGER note_bright AFTER UPDATE OF magnitude, label ON sky.objects FOR EACH ROW WHEN (old.magnitude IS DISTINCT FROM new.magnitude) EXECUTE FUNCTION ops.note('an ''argument''', '2');
CREATE TRIGGER note_all AFTER INSERT ON sky.objects REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION ops.note();
CREATE CONSTRAINT TRIGGER note_late AFTER INSERT ON ops.telescopes FROM ops.houses DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ops.note();
CREATE TRIGGER note_parts BEFORE INSERT ON ops.measurements FOR EACH ROW EXECUTE FUNCTION ops.note();
CREATE TRIGGER instead INSTEAD OF DELETE ON sky.bright FOR EACH ROW EXECUTE FUNCTION ops.note();
ALTER TABLE sky.objects DISABLE TRIGGER note_bright;
ALTER TABLE sky.objects ENABLE REPLICA TRIGGER note_all;
ALTER TABLE ops.measurements_old_a DISABLE TRIGGER note_parts;
COMMENT ON TRIGGER note_late ON ops.telescopes IS 'at commit';
ALTER TABLE sky.objects ENABLE ROW LEVEL SECURITY;
ALTER TABLE sky.objects FORCE ROW LEVEL SECURITY;
CREATE POLICY faint ON sky.objects AS RESTRICTIVE FOR SELECT TO obs_reader, "obs ""night"" crew" USING (magnitude > 1);
CREATE POLICY own ON sky.objects FOR INSERT WITH CHECK (label = current_user);
CREATE POLICY everybody ON sky.objects;
COMMENT ON POLICY own ON sky.objects IS 'by name';

-- publications, foreign data --------------------------------------------------------------------------------------
CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert, delete');
CREATE PUBLICATION partly FOR TABLE sky.objects, ONLY ops.log WITH (publish_via_partition_root = true);
ALTER PUBLICATION partly OWNER TO CURRENT_USER;
\if :since_15
CREATE PUBLICATION narrow FOR TABLE ops.telescopes (code, since) WHERE (since > '2000-01-01');
CREATE PUBLICATION whole FOR TABLES IN SCHEMA "Archive 2", TABLE ops.log;
\endif
CREATE FOREIGN DATA WRAPPER idle OPTIONS (quiet 'yes');
CREATE SERVER elsewhere TYPE 'kind' VERSION '1.2' FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '203.0.113.9', dbname 'it''s');
CREATE USER MAPPING FOR obs_reader SERVER elsewhere OPTIONS (user 'u', password 'p''w');
CREATE USER MAPPING FOR PUBLIC SERVER elsewhere;
CREATE FOREIGN TABLE ops.remote (id int OPTIONS (column_name 'ID') NOT NULL, t text DEFAULT 'x') SERVER elsewhere OPTIONS (schema_name 's', table_name 't');
GRANT USAGE ON FOREIGN SERVER elsewhere TO obs_admin;
COMMENT ON SERVER elsewhere IS 'a documentation address';

-- large objects ---------------------------------------------------------------------------------------------------
SELECT lo_from_bytea(4200001, decode(repeat('00ff5c0a2e', 3000), 'hex')), lo_from_bytea(4200002, ''), lo_from_bytea(4200003, '\x5c2e0a');
ALTER LARGE OBJECT 4200003 OWNER TO obs_owner;
GRANT SELECT ON LARGE OBJECT 4200001 TO obs_reader;
COMMENT ON LARGE OBJECT 4200002 IS 'empty';

-- rows ------------------------------------------------------------------------------------------------------------
INSERT INTO sky.objects (label, place, magnitude, bands, attributes, words, seen, notes)
SELECT 'NGC ' || n, ROW(n * 0.7 % 360, n % 90 - 45.5, 2000.0)::sky.coordinates, (n % 200) / 7.0 - 5, ARRAY['radio', 'x-ray']::sky.band[],
       ops.hstore('k' || n, CASE WHEN n % 3 = 0 THEN NULL ELSE 'v"' || n END), to_tsvector('sky.names', 'galaxy cluster number ' || n),
       tstzrange('2026-01-01 00:00+00'::timestamptz + n * interval '1 day', NULL), CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'a\tb\\N\n\\.\n' ELSE repeat('long ', 700) END
FROM generate_series(1, 400) n;
INSERT INTO ops.houses SELECT n FROM generate_series(1, 5) n;
INSERT INTO ops.telescopes SELECT unnest(ARRAY['ALFA', 'AURA', 'ZEN ', '雪']), '1999-12-31', 3, 'mirror=>"2,4"';
UPDATE ops.houses SET main = 'AURA' WHERE number < 4;
INSERT INTO ops.measurements SELECT '2025-12-20 00:00+00'::timestamptz + n * interval '6 minutes', (ARRAY['ALFA', 'AURA', 'ZEN ', '雪'])[1 + n % 4], 7 * (1 + n % 400),
  CASE n % 50 WHEN 0 THEN 'Infinity' WHEN 1 THEN '-0' ELSE sqrt(n) * 1e-7 END, CASE WHEN n % 9 = 0 THEN decode(md5(n::text), 'hex') END FROM generate_series(1, 6000) n;
INSERT INTO ops.log (entry) VALUES ('plain'), (NULL), ('{"a": 1}');
INSERT INTO ops.log_detail (entry) VALUES ('below');
INSERT INTO ops.scratch SELECT n, 'v' || n FROM generate_series(1, 50) n;
INSERT INTO ops.typed VALUES (1, 2, 3), (4, 5, DEFAULT);
INSERT INTO ops.nothing DEFAULT VALUES;
INSERT INTO ops.nothing DEFAULT VALUES;
INSERT INTO ops.emptied DEFAULT VALUES;
REFRESH MATERIALIZED VIEW ops.totals;
REFRESH MATERIALIZED VIEW ops.of_totals;

-- last, or it would watch this script
CREATE FUNCTION ops.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watch_drops ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP VIEW') EXECUTE FUNCTION ops.watch();
CREATE EVENT TRIGGER watch_ddl ON ddl_command_start EXECUTE FUNCTION ops.watch();
ALTER EVENT TRIGGER watch_ddl DISABLE;
