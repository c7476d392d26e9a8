#include "train/snapshot_folder.h"

#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/hex.h"
#include "comm/agree.h"
#include "comm/texts.h"
#include "io/disk.h"
#include "train/checkpoint_folders.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSentBytes = int64_t{64} << 20;  // at a time
constexpr long kMagicOfTmpfs = 0x01021994;         // <linux/magic.h>

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// A shard that is whole as far as its size tells.
struct FoundShard {
  int64_t step = 0;
  int rank = 0, world = 0;
};

std::vector<FoundShard> shards_of(const SnapshotSearch& s) {
  std::vector<FoundShard> found;
  for (const StepFolder& f : step_folders(s.dir)) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(f.path, none)) {
      int rank = 0;
      const std::string name = entry.path().filename().string();
      if (std::sscanf(name.c_str(), "shard-%d.json", &rank) != 1 || name != manifest_name(rank)) continue;
      try {
        const Manifest m = manifest_from_text(content_of(entry.path().string()), name);
        const auto value = [&](const char* key) { return m.state.extra.count(key) ? m.state.extra.at(key) : std::string(); };
        if (value(kRunOfSnapshot) != s.run || m.state.step != f.step || m.files.size() != 1) continue;
        if (static_cast<int64_t>(fs::file_size(f.path + "/" + m.files[0].name)) != m.files[0].n_bytes) continue;
        found.push_back({f.step, rank, std::stoi(value(kWorldOfSnapshot))});
      } catch (const std::exception&) {
        continue;  // cut off, or of another program: no shard of ours
      }
    }
  }
  return found;
}

// "step rank world" lines, there and back.
std::string text_of(const std::vector<FoundShard>& shards) {
  std::ostringstream out;
  for (const FoundShard& s : shards) out << s.step << ' ' << s.rank << ' ' << s.world << '\n';
  return out.str();
}
std::vector<FoundShard> shards_from(const std::string& text) {
  std::istringstream in(text);
  std::vector<FoundShard> shards;
  for (FoundShard s; in >> s.step >> s.rank >> s.world;) shards.push_back(s);
  return shards;
}

// Who holds the shards of one step: leaders of hosts, by shard.
using Holders = std::map<int, std::vector<int>>;
struct Candidate {
  int world = 0;
  Holders holders;
  bool complete() const { return world > 0 && static_cast<int>(holders.size()) == world; }
};

// A shard from the lowest rank that has it to the hosts that do not.
class Courier {
 public:
  Courier(Comm& comm, std::string folder, bool leads) : comm_(comm), folder_(std::move(folder)), leads_(leads) {
    memory_ = Buffer(Device::cpu, kSentBytes);
  }

  void send(int shard, const std::vector<int>& holders) {
    const int root = holders.front();
    const bool has = std::find(holders.begin(), holders.end(), comm_.rank()) != holders.end();
    const std::string path = folder_ + "/" + shard_name(shard), json = folder_ + "/" + manifest_name(shard);
    std::string text = comm_.rank() == root ? content_of(json) : "";
    int64_t sizes[] = {static_cast<int64_t>(text.size()), comm_.rank() == root ? static_cast<int64_t>(fs::file_size(path)) : 0};
    comm_.broadcast({sizes, {2}, DType::i64, Device::cpu}, root).wait();
    text.resize(static_cast<size_t>(sizes[0]));
    comm_.broadcast({text.data(), {sizes[0]}, DType::u8, Device::cpu}, root).wait();
    std::ifstream in;
    std::unique_ptr<NewFile> out;
    attempt([&] {
      if (comm_.rank() == root) in.open(path, std::ios::binary);
      if (leads_ && !has) fs::create_directories(folder_), out = std::make_unique<NewFile>(path, static_cast<uint64_t>(sizes[1]));
    });
    for (int64_t at = 0; at < sizes[1]; at += kSentBytes) {
      const Tensor part = memory_.tensor(DType::u8, {std::min(kSentBytes, sizes[1] - at)});
      if (comm_.rank() == root) in.read(reinterpret_cast<char*>(memory_.data()), part.numel());
      comm_.broadcast(part, root).wait();
      attempt([&] {
        if (out) out->write(part.data, part.n_bytes());
      });
    }
    attempt([&] {
      if (!out) return;
      out->finish();
      write_file(json, text);
    });
  }
  const std::string& error() const { return error_; }

 private:
  // What goes wrong on one host must not keep the others waiting.
  template <class Action>
  void attempt(const Action& action) {
    if (!error_.empty()) return;
    try {
      action();
    } catch (const std::exception& e) {
      error_ = e.what();
    }
  }

  Comm& comm_;
  std::string folder_;
  bool leads_;
  Buffer memory_;
  std::string error_;
};

// manifest.json of all shards together.
void join_manifests(const std::string& folder, int world) {
  Manifest all;
  for (int r = 0; r < world; ++r) {
    const std::string path = folder + "/" + manifest_name(r);
    Manifest one = manifest_from_text(content_of(path), path);
    if (r == 0) {
      all = std::move(one);
      continue;
    }
    all.files.push_back(one.files.at(0));
    all.parts.merge(one.parts);
  }
  place_pieces(all, folder);
  write_file(folder + "/manifest.json", to_text(all));
}

}  // namespace

std::string snapshot_folder(const std::string& base, const std::string& proj_dir) {
  const std::string path = fs::absolute(proj_dir).lexically_normal().string();
  return cat(base.empty() ? "/dev/shm" : base, "/rookery-", ::getuid(), "-", hex(XXH64(path.data(), path.size(), 0)));
}

bool lies_in_memory(const std::string& folder) {
  fs::path path = fs::absolute(folder);
  struct statfs s {};
  while (statfs(path.c_str(), &s) != 0 && path.has_relative_path()) path = path.parent_path();
  return s.f_type == kMagicOfTmpfs;
}

std::string manifest_name(int rank) {
  const std::string shard = shard_name(rank);
  return shard.substr(0, shard.size() - 3) + ".json";
}

std::string run_name(const std::string& proj_dir) {
  std::string name;
  std::ifstream(proj_dir + "/run.id") >> name;
  return name;
}

std::string make_run_name(const std::string& proj_dir) {
  std::random_device random;
  const std::string name = hex((uint64_t{random()} << 32) ^ random());
  write_file(proj_dir + "/run.id", name + "\n");
  return name;
}

FoundSnapshot find_snapshot(Comm& world_comm, const SnapshotSearch& s, std::vector<std::string>& remarks) {
  Comm& comm = world_comm.host();
  const bool leads = comm.split(s.node)->rank() == 0;
  const std::vector<std::string> lists = gather_texts(comm, leads ? text_of(shards_of(s)) : "");
  std::vector<std::string> leading = gather_texts(comm, leads ? "1" : "");
  const auto n_hosts = static_cast<size_t>(std::count(leading.begin(), leading.end(), "1"));
  std::map<int64_t, Candidate, std::greater<>> candidates;
  for (size_t r = 0; r < lists.size(); ++r)
    for (const FoundShard& shard : shards_from(lists[r])) {
      if (shard.step <= s.newer_than || shard.rank >= shard.world) continue;
      Candidate& c = candidates[shard.step];
      c.world = shard.world;
      c.holders[shard.rank].push_back(static_cast<int>(r));
    }
  for (const auto& [step, c] : candidates) {
    if (!c.complete()) {
      remarks.push_back(cat("the snapshot of step ", step, " is skipped: ", c.holders.size(), " of its ", c.world, " shards are there"));
      continue;
    }
    const std::string folder = s.dir + "/" + step_name(step);
    try {
      Courier courier(comm, folder, leads);
      for (const auto& [shard, holders] : c.holders)
        if (holders.size() < n_hosts) courier.send(shard, holders);
      agree(comm, [&, world = c.world] {
        if (!courier.error().empty()) fail(courier.error());
        if (leads) join_manifests(folder, world);
      });
      return {step, folder};
    } catch (const Error& e) {
      remarks.push_back(cat("warning: the snapshot of step ", step, " is skipped: ", e.what()));
    }
  }
  return {};
}

void remove_snapshots(const std::string& dir, const std::function<bool(int64_t step)>& doomed) {
  std::error_code ignored;
  for (const StepFolder& f : step_folders(dir))
    if (doomed(f.step)) fs::remove_all(f.path, ignored);
}

void remove_all_snapshots(const std::string& dir) {
  remove_snapshots(dir, [](int64_t) { return true; });
  ::rmdir(dir.c_str());  // unless the user has something else there
}

}  // namespace rk
