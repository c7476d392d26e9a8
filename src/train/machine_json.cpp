// What `rookery bench machine` writes and `rookery plan --machine` reads.
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "train/machine_rates.h"

namespace rk {
namespace {

using Json = nlohmann::ordered_json;

WkvRate wkv_of(const Json& j) { return {j.at(0).get<double>(), j.at(1).get<double>()}; }

MachineRates from_json(const Json& j) {
  MachineRates m;
  m.name = j.at("name");
  m.origin = j.at("origin");
  const Json& c = j.at("compute");
  m.compute.device = c.at("device");
  m.compute.memory = c.at("memory_bytes");
  m.compute.n_sm = c.at("multiprocessors");
  m.compute.peak_flops = c.at("peak_flops");
  m.compute.gemm_flops = c.at("gemm_flops");
  m.compute.copy = c.at("copy_bytes_per_s");
  m.compute.gap_s = c.at("gap_s");
  for (const Json& g : c.at("gemm")) m.compute.gemm.push_back({g.at(0), g.at(1), g.at(2), g.at(3)});
  for (const auto& [op, rate] : c.at("operators_bytes_per_s").items()) m.compute.operators[op] = rate;
  m.compute.wkv_forward = wkv_of(c.at("wkv7_forward_s"));
  m.compute.wkv_backward = wkv_of(c.at("wkv7_backward_s"));
  m.compute.down = c.at("to_host_bytes_per_s");
  m.compute.up = c.at("from_host_bytes_per_s");
  const Json& h = j.at("host");
  m.host = {.memory = h.at("memory_bytes"), .copy = h.at("copy_bytes_per_s"), .adamw = h.at("adamw_bytes_per_s")};
  const Json& l = j.at("links");
  m.links.ranks_per_node = l.at("ranks_per_node");
  for (const Json& s : l.at("inside")) m.links.inside.push_back({s.at(0), s.at(1), s.at(2), s.at(3)});
  m.links.hop_s = l.at("hop_s");
  m.links.network = l.at("network_bytes_per_s");
  m.links.network_hop_s = l.at("network_hop_s");
  m.links.slowdown = l.at("slowdown");
  return m;
}

}  // namespace

MachineRates read_machine(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail(cat("--machine ", path, ": cannot be read; make it with rookery bench machine --out ", path));
  try {
    return from_json(Json::parse(file));
  } catch (const Json::exception& e) {
    fail(cat("--machine ", path, ": is not what rookery bench machine writes (", e.what(), "); make it again"));
  }
}

std::string machine_json(const MachineRates& m) {
  const ComputeRates& c = m.compute;
  Json j;
  j["name"] = m.name;
  j["origin"] = m.origin;
  Json& compute = j["compute"];
  compute["device"] = c.device;
  compute["memory_bytes"] = c.memory;
  compute["multiprocessors"] = c.n_sm;
  compute["peak_flops"] = c.peak_flops;
  compute["gemm_flops"] = c.gemm_flops;
  compute["copy_bytes_per_s"] = c.copy;
  compute["gap_s"] = c.gap_s;
  compute["gemm"] = Json::array();
  for (const GemmSample& g : c.gemm) compute["gemm"].push_back({g.M, g.N, g.K, g.flops});
  compute["operators_bytes_per_s"] = Json::object();
  for (const auto& [op, rate] : c.operators) compute["operators_bytes_per_s"][op] = rate;
  compute["wkv7_forward_s"] = {c.wkv_forward.each_s, c.wkv_forward.chunk_s};
  compute["wkv7_backward_s"] = {c.wkv_backward.each_s, c.wkv_backward.chunk_s};
  compute["to_host_bytes_per_s"] = c.down;
  compute["from_host_bytes_per_s"] = c.up;
  j["host"] = {{"memory_bytes", m.host.memory}, {"copy_bytes_per_s", m.host.copy}, {"adamw_bytes_per_s", m.host.adamw}};
  Json& links = j["links"];
  links["ranks_per_node"] = m.links.ranks_per_node;
  links["inside"] = Json::array();
  for (const LinkSample& s : m.links.inside) links["inside"].push_back({s.bytes, s.reduce_scatter, s.all_gather, s.all_reduce});
  links["hop_s"] = m.links.hop_s;
  links["network_bytes_per_s"] = m.links.network;
  links["network_hop_s"] = m.links.network_hop_s;
  links["slowdown"] = m.links.slowdown;
  return j.dump(1) + "\n";
}

}  // namespace rk
