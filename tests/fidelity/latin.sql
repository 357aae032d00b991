-- createdb: ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'
-- A database in one of the old encodings. This file is ASCII: letters beyond it are written by code.
SET client_encoding = 'LATIN1';
CREATE TABLE menu (dish text PRIMARY KEY, price numeric(5, 2), note text DEFAULT chr(233) || 't' || chr(233));
INSERT INTO menu SELECT 'caf' || chr(233) || ' ' || n, n / 4.0, chr(160 + n % 95) || chr(255) FROM generate_series(1, 500) n;
SELECT format('CREATE TABLE %I (%I text); COMMENT ON TABLE %1$I IS %3$L', 'caf' || chr(233), chr(252) || 'ber', 'na' || chr(239) || 've') \gexec
SELECT format('INSERT INTO %I VALUES (%L)', 'caf' || chr(233), chr(223)) \gexec
SELECT format('CREATE FUNCTION accent() RETURNS text LANGUAGE sql AS %L', 'SELECT ''' || chr(229) || '''::text') \gexec
