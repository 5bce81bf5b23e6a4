DROP INDEX "Finances"."client_po_project_index";--> statement-breakpoint
DROP INDEX "Finances"."client_po_vendor_index";--> statement-breakpoint
CREATE INDEX "client_name_search" ON "Finances"."client" USING gin ("name" "Finances".gin_trgm_ops);--> statement-breakpoint
CREATE INDEX "client_po_project_newest" ON "Finances"."client_po" USING btree ("project_id","created_at","id");--> statement-breakpoint
CREATE INDEX "client_po_vendor_newest" ON "Finances"."client_po" USING btree ("vendor_id","created_at","id");--> statement-breakpoint
CREATE INDEX "client_po_any_store_newest" ON "Finances"."client_po" USING btree ("store_id","created_at","id");--> statement-breakpoint
CREATE INDEX "client_po_status_newest" ON "Finances"."client_po" USING btree ("status","created_at","id");--> statement-breakpoint
CREATE INDEX "client_po_type_newest" ON "Finances"."client_po" USING btree ("po_type","created_at","id");--> statement-breakpoint
CREATE INDEX "client_po_number_prefix" ON "Finances"."client_po" USING btree ("po_number" text_pattern_ops);--> statement-breakpoint
CREATE INDEX "client_po_date" ON "Finances"."client_po" USING btree (coalesce("po_date", '-infinity'::date),"id");--> statement-breakpoint
CREATE INDEX "client_po_client_date" ON "Finances"."client_po" USING btree ("client_id",coalesce("po_date", '-infinity'::date),"id");--> statement-breakpoint
CREATE INDEX "client_po_value" ON "Finances"."client_po" USING btree (coalesce("po_value", '-Infinity'::numeric),"id");--> statement-breakpoint
CREATE INDEX "client_po_client_value" ON "Finances"."client_po" USING btree ("client_id",coalesce("po_value", '-Infinity'::numeric),"id");--> statement-breakpoint
CREATE INDEX "client_po_updated" ON "Finances"."client_po" USING btree ("updated_at","id");--> statement-breakpoint
CREATE INDEX "client_po_client_updated" ON "Finances"."client_po" USING btree ("client_id","updated_at","id");--> statement-breakpoint
CREATE INDEX "client_po_search" ON "Finances"."client_po" USING gin ((coalesce("po_number", '') || E'\n' || coalesce("store_id", '') || E'\n' || coalesce("notes", '')) "Finances".gin_trgm_ops);