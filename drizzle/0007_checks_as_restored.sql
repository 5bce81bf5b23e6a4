ALTER TABLE "Finances"."audit_log" DROP CONSTRAINT "audit_log_action_known";--> statement-breakpoint
ALTER TABLE "Finances"."client_po" DROP CONSTRAINT "client_po_status_known";--> statement-breakpoint
ALTER TABLE "Finances"."client_po" DROP CONSTRAINT "client_po_po_type_known";--> statement-breakpoint
ALTER TABLE "Finances"."user" DROP CONSTRAINT "user_role_known";--> statement-breakpoint
ALTER TABLE "Finances"."vendor" DROP CONSTRAINT "vendor_status_known";--> statement-breakpoint
ALTER TABLE "Finances"."audit_log" ADD CONSTRAINT "audit_log_action_known" CHECK ("Finances"."audit_log"."action"::text IN ('insert', 'update', 'delete'));--> statement-breakpoint
ALTER TABLE "Finances"."client_po" ADD CONSTRAINT "client_po_status_known" CHECK ("Finances"."client_po"."status"::text IN ('pending', 'active', 'completed', 'cancelled'));--> statement-breakpoint
ALTER TABLE "Finances"."client_po" ADD CONSTRAINT "client_po_po_type_known" CHECK ("Finances"."client_po"."po_type"::text IN ('standard', 'verbal_agreement'));--> statement-breakpoint
ALTER TABLE "Finances"."user" ADD CONSTRAINT "user_role_known" CHECK ("Finances"."user"."role"::text IN ('viewer', 'editor', 'admin'));--> statement-breakpoint
ALTER TABLE "Finances"."vendor" ADD CONSTRAINT "vendor_status_known" CHECK ("Finances"."vendor"."status"::text IN ('active', 'inactive'));