CREATE FUNCTION s.atomic(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END; SELECT 'it''s; \ end'::text IS NULL; SELECT a; END;
CREATE FUNCTION s.returning(a int) RETURNS int LANGUAGE sql RETURN a + 1;
CREATE PROCEDURE s.outs(OUT x int) LANGUAGE plpgsql AS 'BEGIN x := 1; END';
CREATE TYPE s.with_multi AS RANGE (SUBTYPE = float8, MULTIRANGE_TYPE_NAME = s."Multi 1", SUBTYPE_DIFF = float8mi);
ALTER SUBSCRIPTION sub_UNIQUE SET (binary = true, streaming = true);
