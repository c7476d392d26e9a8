// golden_tests: runs the product on every golden case under a folder and compares with the expected numbers.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "comm/backends.h"
#include "comm/places.h"
#include "device/gpu.h"
#include "golden/golden.h"

namespace rk::golden {
namespace {

namespace fs = std::filesystem;

struct Request {
  std::string root, device = "cpu", dtype = "fp32";
  std::vector<std::string> filters, required;
  int threads = 2, zero = -1;
  bool list = false, dtype_given = false;
};

bool starts_with(const std::string& text, const std::string& prefix) { return text.compare(0, prefix.size(), prefix) == 0; }

const Kind* find_kind(const std::string& name) {
  for (const Kind& k : kinds())
    if (name == k.name) return &k;
  return nullptr;
}

// A case.json that cannot be read becomes a case without a kind, which fails when it is run.
Case load_case(const fs::path& file, const fs::path& root) {
  Case c;
  c.folder = fs::absolute(file.parent_path()).lexically_normal().string();
  c.label = file.parent_path().lexically_relative(root).generic_string();
  std::ifstream in(file);
  c.json = nlohmann::json::parse(in, nullptr, false);
  if (!c.json.is_object()) c.json = nlohmann::json::object();
  return c;
}

std::string kind_of(const Case& c) {
  const auto kind = c.json.find("kind");
  return kind != c.json.end() && kind->is_string() ? kind->get<std::string>() : std::string();
}

std::vector<Case> load_cases(const std::string& root) {
  std::vector<Case> cases;
  if (root.empty()) return cases;
  if (!fs::is_directory(root)) fail(cat("--root ", root, " is not a folder; give the folder of the golden cases"));
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().filename() != "case.json") continue;
    Case c = load_case(entry.path(), root);
    if (!c.json.value("data_only", false)) cases.push_back(std::move(c));
  }
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.label < b.label; });
  return cases;
}

bool selected(const Case& c, const Request& request) {
  return request.filters.empty() || std::any_of(request.filters.begin(), request.filters.end(), [&](const std::string& f) {
           return c.label.find(f) != std::string::npos || kind_of(c).find(f) != std::string::npos;
         });
}

bool is_required(const std::string& kind, const Request& request) {
  return std::any_of(request.required.begin(), request.required.end(), [&](const std::string& r) { return starts_with(kind, r); });
}

// A required kind that neither this program nor any case knows is a misspelling.
void check_required(const Request& request, const std::vector<Case>& cases) {
  for (const std::string& r : request.required) {
    const bool known = std::any_of(kinds().begin(), kinds().end(), [&](const Kind& k) { return starts_with(k.name, r); }) ||
                       std::any_of(cases.begin(), cases.end(), [&](const Case& c) { return starts_with(kind_of(c), r); });
    if (!known) fail(cat("--require ", r, " names no kind; --list shows those that exist"));
  }
}

void print_list(const std::vector<Case>& cases) {
  std::set<std::string> names;
  for (const Kind& k : kinds()) names.insert(k.name);
  for (const Case& c : cases) names.insert(kind_of(c));
  for (const std::string& name : names) {
    const Kind* kind = find_kind(name);
    const auto n = std::count_if(cases.begin(), cases.end(), [&](const Case& c) { return kind_of(c) == name; });
    std::printf("%-9s %s%s%s%s (%d cases here)\n", kind ? "built" : "not built", name.c_str(), kind && kind->bf16 ? ", bf16" : "",
                kind && kind->ranks ? ", ranks" : "", kind && kind->gpu ? ", cuda" : "", static_cast<int>(n));
  }
}

struct Totals {
  int passed = 0, failed = 0, skipped = 0;
};

class Runner {
 public:
  Runner(const Request& request, const Options& options) : request_(request), options_(options) {}

  void run(const Case& c) {
    const std::string name = kind_of(c);
    const Kind* kind = find_kind(name);
    Check check;
    if (kind == nullptr) {
      if (!name.empty() && !is_required(name, request_)) return skip(c, name);
      check.fail(name.empty() ? "case.json names no kind" : "this kind is not built");
    } else {
      if (options_.dtype == DType::bf16 && !kind->bf16) return;
      if (options_.mpi && options_.mpi->size() > 1 && !kind->ranks) return;
      if (options_.gpu && !kind->gpu) return;
      compute(*kind, c, check);
    }
    report(c, name, check);
  }
  const Totals& totals() const { return totals_; }

 private:
  bool speaks() const { return !options_.mpi || options_.mpi->rank() == 0; }

  void skip(const Case& c, const std::string& kind) {
    ++totals_.skipped;
    if (speaks()) std::printf("SKIP %s %s (this kind is not built)\n", c.label.c_str(), kind.c_str());
  }

  void compute(const Kind& kind, const Case& c, Check& check) {
    try {
      kind.run(c, options_, check);
    } catch (const std::exception& e) {
      check.fail(e.what());
      if (options_.mpi && options_.mpi->size() > 1) {  // the other ranks may wait in a collective that this one left
        log_error(cat("FAIL ", c.label, " ", kind.name, ": ", e.what()));
        options_.mpi->abort(1);
      }
    }
    if (check.worst_what().empty()) check.fail("nothing was compared");
  }

  // Every rank must pass; rank 0 prints its own numbers.
  void report(const Case& c, const std::string& kind, const Check& check) {
    int64_t n_failed_ranks = check.passed() ? 0 : 1;
    if (options_.mpi) {
      Tensor t;
      t.data = &n_failed_ranks;
      t.shape = {1};
      t.dtype = DType::i64;
      options_.mpi->all_reduce(t, Reduce::sum).wait();
    }
    ++(n_failed_ranks == 0 ? totals_.passed : totals_.failed);
    if (speaks()) {
      std::printf("%s %s %s worst=%.3g limit=%.3g (%s)\n", n_failed_ranks == 0 ? "PASS" : "FAIL", c.label.c_str(), kind.c_str(),
                  check.worst_value(), check.worst_limit(), check.worst_what().c_str());
      std::fflush(stdout);
    }
    explain(c, check);
  }

  void explain(const Case& c, const Check& check) {
    constexpr size_t kShown = 8;
    const auto& failures = check.failures();
    for (size_t i = 0; i < std::min(kShown, failures.size()); ++i) log_error(cat("  ", c.label, ": ", failures[i]));
    if (failures.size() > kShown) log_error(cat("  ", c.label, ": and ", failures.size() - kShown, " more"));
  }

  const Request& request_;
  const Options& options_;
  Totals totals_;
};

Request parse(int argc, char** argv) {
  Request r;
  if (const char* root = std::getenv("ROOKERY_GOLDEN_DIR")) r.root = root;
  CLI::App app{"Runs the golden cases under --root (or ROOKERY_GOLDEN_DIR) through the product."};
  app.add_option("--root", r.root, "folder of the cases");
  app.add_option("--filter", r.filters, "only cases whose kind or folder contains this text (may be repeated)")->allow_extra_args(false);
  app.add_option("--require", r.required, "a kind, or the beginning of one, that must not be skipped (may be repeated)")
      ->allow_extra_args(false);
  app.add_option("--device", r.device, "cpu or cuda; kinds that do not compute are not run on cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--dtype", r.dtype, "fp32 or bf16; kinds without a bf16 limit are not run in bf16")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--threads", r.threads, "threads of the operators")->check(CLI::PositiveNumber);
  app.add_option("--zero", r.zero, "ZeRO stage of training runs; -1 = the default")->check(CLI::Range(-1, 3));
  app.add_flag("--list", r.list, "show which kinds are built and how many cases there are");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) std::exit(app.exit(e));
    fail(e.what());
  }
  r.dtype_given = app.count("--dtype") > 0;
  return r;
}

int run_all(const Request& request, const Options& options) {
  const std::vector<Case> cases = load_cases(request.root);
  if (request.list) {
    print_list(cases);
    return 0;
  }
  if (request.root.empty()) fail("no golden cases: give --root DIR or set ROOKERY_GOLDEN_DIR");
  check_required(request, cases);
  Runner runner(request, options);
  int n_selected = 0;
  for (const Case& c : cases) {
    if (!selected(c, request)) continue;
    ++n_selected;
    runner.run(c);
  }
  const Totals& t = runner.totals();
  if (!options.mpi || options.mpi->rank() == 0) {
    std::printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped);
    std::fflush(stdout);
  }
  return t.failed > 0 || n_selected == 0 ? 1 : 0;
}

int run_program(int argc, char** argv) {
  const Request request = parse(argc, argv);
  std::optional<Gpu> gpu;  // outlives what uses it
  std::unique_ptr<Comm> mpi;
  if (under_mpi()) mpi = make_mpi_comm();
  set_log_voice(!mpi || mpi->rank() == 0, mpi && mpi->size() > 1 ? cat("[rank ", mpi->rank(), "/", mpi->size(), "] ") : "");
  Options options;
  options.dtype = request.dtype == "bf16" ? DType::bf16 : DType::f32;
  options.dtype_given = request.dtype_given;
  options.threads = request.threads;
  options.zero = request.zero;
  if (request.device == "cuda") {
    options.gpu = &gpu.emplace(GpuOptions{.index = mpi ? choose_gpu(local_rank(*mpi), local_size(*mpi), n_gpus()) : 0});
    if (mpi) mpi = mpi->size() > 1 ? make_gpu_comm(std::move(mpi), *gpu) : make_self_comm(options.gpu);
  }
  options.mpi = mpi.get();
  const int code = run_all(request, options);
  mpi.reset();
  finalize_mpi();
  return code;
}

}  // namespace
}  // namespace rk::golden

int main(int argc, char** argv) {
  try {
    return rk::golden::run_program(argc, argv);
  } catch (const rk::Error& e) {
    rk::log_error(e.what());
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    rk::log_error(e.what());
    return 1;
  }
}
