-- createdb: ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'
-- A database without an encoding: its text is bytes, some of them no UTF-8, also in names and definitions.
SET client_encoding = 'SQL_ASCII';
CREATE TABLE raw (id int PRIMARY KEY, t text, note text);
INSERT INTO raw SELECT n, convert_from(decode(lpad(to_hex(128 + n % 128), 2, '0') || '5c0a', 'hex'), 'SQL_ASCII'), 'plain' FROM generate_series(1, 300) n;
SELECT format('CREATE TABLE %I (a text DEFAULT %L)', convert_from('\x6e616dff80', 'SQL_ASCII'), convert_from('\xe9fe', 'SQL_ASCII')) \gexec
SELECT format('INSERT INTO %I VALUES (DEFAULT)', convert_from('\x6e616dff80', 'SQL_ASCII')) \gexec
SELECT format('COMMENT ON TABLE raw IS %L', convert_from('\xc328', 'SQL_ASCII')) \gexec
CREATE VIEW some_raw AS SELECT id, t FROM raw WHERE id < 10;
