#include "launch/rendezvous/launch_options.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/error.h"

namespace rk {
namespace {

constexpr int most_nodes = 4096, most_ranks = 4096, most_restarts = 1000000, most_timeout_s = 30 * 86400;

struct Value {
  std::string text, said;  // said: "--nnodes two", "NNODES=two"
  bool given() const { return !text.empty(); }
};

int whole(const Value& value, int least, int most) {
  int number = 0;
  const auto [end, error] = std::from_chars(value.text.data(), value.text.data() + value.text.size(), number);
  if (error != std::errc() || end != value.text.data() + value.text.size() || number < least || number > most)
    fail(cat(value.said, " is not accepted; it takes a whole number from ", least, " to ", most));
  return number;
}

const std::vector<std::string>& known_flags() {
  static const std::vector<std::string> names{"nnodes",      "min_nnodes",  "node_rank",    "nproc_per_node", "master_addr",
                                              "master_port", "secret_file", "max_restarts", "interface",      "timeout"};
  return names;
}

std::string plain(std::string word) {
  word = word.substr(0, word.find('='));
  std::replace(word.begin() + 2, word.end(), '-', '_');
  return word.substr(2);
}

[[noreturn]] void refuse_flag(const std::string& word) {
  const std::string name = plain(word);
  if (name.starts_with("rdzv") || name == "standalone" || name == "master")
    fail(cat("rookery launch does not know --", name, "; nodes meet at --master_addr and --master_port, with --nnodes and --node_rank"));
  std::string known;
  for (const std::string& flag : known_flags()) known += cat(known.empty() ? "--" : ", --", flag);
  fail(cat("rookery launch does not know ", word, "; it takes ", known,
           " and --print-sbatch, and after -- the program: rookery launch --nnodes 2 ... -- train ..."));
}

class Given {
 public:
  Given(std::map<std::string, std::string> flags, const Environment& environment) : flags_(std::move(flags)), environment_(environment) {}
  // The first that is there: the flag, then environment variables in this order.
  Value find(const std::string& flag, std::initializer_list<const char*> variables = {}) const {
    if (const auto i = flags_.find(flag); i != flags_.end()) return {i->second, cat("--", flag, " ", i->second)};
    for (const char* name : variables)
      if (const std::string text = environment_(name); !text.empty()) return {text, cat("the environment variable ", name, "=", text)};
    return {};
  }

 private:
  std::map<std::string, std::string> flags_;
  const Environment& environment_;
};

std::map<std::string, std::string> read_flags(const std::vector<std::string>& words, LaunchOptions& o) {
  std::map<std::string, std::string> flags;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      o.program.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
      break;
    }
    if (word == "-h") o.help = true;
    if (o.help) break;
    if (!word.starts_with("--")) {  // as torchrun: the program may follow without --
      o.program.assign(words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
      break;
    }
    const std::string name = plain(word);
    if (name == "help" || name == "print_sbatch") {
      (name == "help" ? o.help : o.print_sbatch) = true;
      continue;
    }
    if (std::find(known_flags().begin(), known_flags().end(), name) == known_flags().end()) refuse_flag(word);
    const size_t equals = word.find('=');
    if (equals == std::string::npos && i + 1 == words.size()) fail(cat("--", name, " has no value"));
    flags[name] = equals == std::string::npos ? words[++i] : word.substr(equals + 1);
    if (flags[name].empty()) fail(cat("--", name, " has no value"));
  }
  return flags;
}

// "4", or "2:4": at least 2.
void read_nnodes(const Given& given, LaunchOptions& o) {
  Value nnodes = given.find("nnodes", {"NNODES", "SLURM_JOB_NUM_NODES", "SLURM_NNODES"});
  std::string fewest;
  if (const size_t colon = nnodes.text.find(':'); colon != std::string::npos) {
    fewest = nnodes.text.substr(0, colon);
    nnodes.text = nnodes.text.substr(colon + 1);
    o.min_nnodes = whole({fewest, nnodes.said}, 1, most_nodes);
  }
  if (nnodes.given() || !fewest.empty()) o.nnodes = whole(nnodes, 1, most_nodes);
  if (fewest.empty()) o.min_nnodes = o.nnodes;
  if (const Value least = given.find("min_nnodes"); least.given()) o.min_nnodes = whole(least, 1, most_nodes);
  if (o.min_nnodes > o.nnodes) fail(cat("at least ", o.min_nnodes, " nodes are asked for, but --nnodes is ", o.nnodes));
}

void read_nproc(const Given& given, LaunchOptions& o) {
  if (const Value v = given.find("nproc_per_node", {"SLURM_NTASKS_PER_NODE"}); v.given()) o.nproc_per_node = whole(v, 1, most_ranks);
}

void read_meeting(const Given& given, LaunchOptions& o) {
  if (const Value rank = given.find("node_rank", {"NODE_RANK", "SLURM_NODEID"}); rank.given()) o.node_rank = whole(rank, 0, 1 << 30);
  if (o.node_rank >= o.nnodes)
    fail(cat("--node_rank ", o.node_rank, " does not exist among ", o.nnodes, " nodes, which are numbered from 0"));
  o.master_addr = given.find("master_addr", {"MASTER_ADDR"}).text;
  if (o.master_addr.empty())
    if (const Value hosts = given.find("", {"SLURM_JOB_NODELIST"}); hosts.given()) o.master_addr = expand_hosts(hosts.text).front();
  if (const Value port = given.find("master_port", {"MASTER_PORT"}); port.given()) o.master_port = whole(port, 1, 65535);
  o.secret_file = given.find("secret_file", {"ROOKERY_SECRET_FILE"}).text;
  if (o.nnodes == 1 || o.print_sbatch) return;
  if (o.master_addr.empty()) fail("several nodes need --master_addr (or MASTER_ADDR): the address of node 0, at which the others reach it");
  if (o.secret_file.empty())
    fail(
        "several nodes need --secret_file (or ROOKERY_SECRET_FILE): a file with the same secret on each, made by: "
        "(umask 077; openssl rand -hex 32 > FILE)");
}

}  // namespace

LaunchOptions parse_launch(const std::vector<std::string>& words, const Environment& environment) {
  LaunchOptions o;
  const Given given(read_flags(words, o), environment);
  if (o.help) return o;
  read_nnodes(given, o);
  read_nproc(given, o);
  read_meeting(given, o);
  o.interface = given.find("interface").text;
  if (const Value v = given.find("max_restarts"); v.given()) o.max_restarts = whole(v, 0, most_restarts);
  if (const Value v = given.find("timeout"); v.given()) o.timeout_s = whole(v, 1, most_timeout_s);
  if (o.program.empty()) fail("rookery launch has nothing to start; give it behind --: rookery launch ... -- train --config FILE ...");
  if (o.program.front() != "train" && o.program.front() != "bench")
    fail(cat("rookery launch starts `train` or `bench`, not '", o.program.front(), "'; the words after -- are those after `rookery`"));
  return o;
}

std::vector<std::string> without_options(const std::vector<std::string>& words, const std::vector<std::string>& names) {
  std::vector<std::string> kept;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("--") || std::find(names.begin(), names.end(), plain(word)) == names.end()) {
      kept.push_back(word);
    } else if (word.find('=') == std::string::npos && i + 1 < words.size() && !words[i + 1].starts_with("--")) {
      ++i;  // its value
    }
  }
  return kept;
}

std::string launch_help() {
  return "rookery launch [OPTIONS] -- train ...: starts one run on several hosts, without ssh. The same line is typed on every host,\n"
         "each with its --node_rank; node 0 starts the run when all are there.\n\n"
         "  --nnodes N           hosts, or MIN:MAX: with fewer than MAX the run begins after the timeout and goes on after a loss\n"
         "                       (NNODES, SLURM_JOB_NUM_NODES; default 1)\n"
         "  --min_nnodes N       the same as MIN\n"
         "  --node_rank R        number of this host, from 0 (NODE_RANK, SLURM_NODEID; default 0)\n"
         "  --nproc_per_node K   ranks on each host (SLURM_NTASKS_PER_NODE; default 1)\n"
         "  --master_addr A      name or IPv4 address of node 0 (MASTER_ADDR, the first of SLURM_JOB_NODELIST)\n"
         "  --master_port P      where node 0 waits for the others (MASTER_PORT; default 29500)\n"
         "  --secret_file F      file of mode 0600 with the same secret on every host (ROOKERY_SECRET_FILE)\n"
         "  --max_restarts M     start again, from the newest checkpoint, at most M times after a rank or host was lost (default 0)\n"
         "  --interface IF       network interface of this host for the run (default: the one between this host and node 0)\n"
         "  --timeout S          how long hosts wait for each other, in seconds (default 300)\n"
         "  --print-sbatch       print a Slurm script for this run and end\n\n"
         "docs/launch.md tells more.\n";
}

}  // namespace rk
