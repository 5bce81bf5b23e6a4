DROP INDEX "Finances"."refresh_session_user_index";--> statement-breakpoint
CREATE INDEX "refresh_session_user_newest" ON "Finances"."refresh_session" USING btree ("user_id","created_at","id");