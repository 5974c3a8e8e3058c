// The kinds of operators that the overlays use; make.sh makes a schema of each.
import type { ICluster } from "@kubernetes-models/cloudnative-pg/postgresql.cnpg.io/v1/Cluster";
import type { IPrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import type { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";

// The status is the operator's to write, so no manifest has one.
export type Cluster = Omit<ICluster, "status">;
export type PrometheusRule = Omit<IPrometheusRule, "status">;
export type ServiceMonitor = Omit<IServiceMonitor, "status">;
