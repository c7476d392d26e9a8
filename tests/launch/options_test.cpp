// Flags and variables of `rookery launch`, lists of hosts, networks, secrets, command lines.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/error.h"
#include "launch/mpirun.h"
#include "launch/print_sbatch.h"
#include "launch/rendezvous/interfaces.h"
#include "launch/rendezvous/launch_options.h"
#include "launch/rendezvous/secret.h"
#include "launch/srun.h"

namespace rk {
namespace {

using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

Environment environment(const Variables& variables) {
  return [variables](const char* name) {
    const auto i = variables.find(name);
    return i == variables.end() ? std::string() : i->second;
  };
}

std::string refusal(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

void expect_refused(const Words& words, const Variables& variables, const std::string& part) {
  const std::string sentence = refusal([&] { parse_launch(words, environment(variables)); });
  EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
}

TEST(LaunchOptions, FlagsInBothSpellings) {
  const LaunchOptions o =
      parse_launch({"--nnodes", "2", "--node-rank=1", "--master_addr", "n0", "--master-port", "1234", "--nproc-per-node", "4",
                    "--secret_file", "s", "--max-restarts", "3", "--timeout", "20", "--", "train", "--zero", "1"},
                   environment({}));
  EXPECT_EQ(o.nnodes, 2);
  EXPECT_EQ(o.min_nnodes, 2);
  EXPECT_EQ(o.node_rank, 1);
  EXPECT_EQ(o.master_addr, "n0");
  EXPECT_EQ(o.master_port, 1234);
  EXPECT_EQ(o.nproc_per_node, 4);
  EXPECT_EQ(o.secret_file, "s");
  EXPECT_EQ(o.max_restarts, 3);
  EXPECT_EQ(o.timeout_s, 20);
  EXPECT_EQ(o.program, (Words{"train", "--zero", "1"}));
}

TEST(LaunchOptions, EnvironmentStandsBehindFlags) {
  const Variables variables{{"NNODES", "3"},      {"NODE_RANK", "2"},           {"MASTER_ADDR", "10.0.0.1"},
                            {"MASTER_PORT", "7"}, {"ROOKERY_SECRET_FILE", "x"}, {"SLURM_JOB_NUM_NODES", "9"}};
  const LaunchOptions o = parse_launch({"--node_rank", "1", "train"}, environment(variables));
  EXPECT_EQ(o.nnodes, 3);
  EXPECT_EQ(o.node_rank, 1);
  EXPECT_EQ(o.master_addr, "10.0.0.1");
  EXPECT_EQ(o.master_port, 7);
  EXPECT_EQ(o.secret_file, "x");
}

TEST(LaunchOptions, Slurm) {
  const Variables variables{
      {"SLURM_JOB_NUM_NODES", "3"}, {"SLURM_NODEID", "2"}, {"SLURM_JOB_NODELIST", "n[07-08],m1"}, {"SLURM_NTASKS_PER_NODE", "4"}};
  const LaunchOptions o = parse_launch({"--secret_file", "s", "--", "train"}, environment(variables));
  EXPECT_EQ(o.nnodes, 3);
  EXPECT_EQ(o.node_rank, 2);
  EXPECT_EQ(o.nproc_per_node, 4);
  EXPECT_EQ(o.master_addr, "n07");
}

TEST(LaunchOptions, ElasticRange) {
  const LaunchOptions o = parse_launch({"--nnodes=2:4", "--master_addr", "a", "--secret_file", "s", "train"}, environment({}));
  EXPECT_EQ(o.nnodes, 4);
  EXPECT_EQ(o.min_nnodes, 2);
}

TEST(LaunchOptions, Refusals) {
  expect_refused({"--nnodes", "two", "train"}, {}, "--nnodes two is not accepted");
  expect_refused({"train"}, {{"NNODES", "0"}}, "NNODES=0 is not accepted");
  expect_refused({"--nnodes", "4:2", "train"}, {}, "at least 4 nodes");
  expect_refused({"--nnodes", "2", "--node_rank", "2", "train"}, {}, "--node_rank 2 does not exist among 2 nodes");
  expect_refused({"--nnodes", "2", "--secret_file", "s", "train"}, {}, "--master_addr");
  expect_refused({"--nnodes", "2", "--master_addr", "a", "train"}, {}, "--secret_file");
  expect_refused({"--rdzv-backend=c10d", "train"}, {}, "does not know --rdzv_backend");
  expect_refused({"--nodes", "2", "train"}, {}, "does not know --nodes");
  expect_refused({"--nnodes"}, {}, "has no value");
  expect_refused({"--nproc_per_node", "2"}, {}, "has nothing to start");
  expect_refused({"--", "plan"}, {}, "not 'plan'");
  expect_refused({"--master_port", "70000", "train"}, {}, "from 1 to 65535");
}

TEST(HostList, Expansion) {
  EXPECT_EQ(expand_hosts("n0"), (Words{"n0"}));
  EXPECT_EQ(expand_hosts("n[0,2]"), (Words{"n0", "n2"}));
  EXPECT_EQ(expand_hosts("n[1-3,07],login"), (Words{"n1", "n2", "n3", "n07", "login"}));
  EXPECT_EQ(expand_hosts("gpu[098-101]-ib"), (Words{"gpu098-ib", "gpu099-ib", "gpu100-ib", "gpu101-ib"}));
  EXPECT_EQ(expand_hosts("r[1-2]n[3-4]"), (Words{"r1n3", "r1n4", "r2n3", "r2n4"}));
  for (const char* bad : {"", "n[", "n]", "n[1", "n[a-b]", "n[3-1]", "n[[1]]", "a,,b", "n[1-]", "n[0-99999999]"})
    EXPECT_NE(refusal([&] { expand_hosts(bad); }).find("cannot be understood"), std::string::npos) << bad;
}

TEST(Interfaces, NetworkOfAnAddress) {
  EXPECT_EQ(network_of("10.0.1.7", "255.255.255.0"), "10.0.1.0/24");
  EXPECT_EQ(network_of("172.16.77.9", "255.255.240.0"), "172.16.64.0/20");
  EXPECT_EQ(network_of("", "255.0.0.0"), "");
}

TEST(Interfaces, ChoiceByAddressAndName) {
  const std::vector<Interface> all{{"lo", "127.0.0.1", "127.0.0.0/8", true},
                                   {"eth0", "10.0.1.7", "10.0.1.0/24", true},
                                   {"ib0", "10.9.0.7", "10.9.0.0/16", true},
                                   {"eth1", "10.3.0.1", "10.3.0.0/16", false}};
  EXPECT_EQ(interface_with_address(all, "10.9.0.7").name, "ib0");
  EXPECT_EQ(interface_with_address(all, "127.0.1.1").name, "lo");
  EXPECT_EQ(interface_with_address(all, "10.0.1.8").name, "");
  EXPECT_EQ(interface_named(all, "ib0").network, "10.9.0.0/16");
  for (const char* name : {"eth1", "eth7"}) {
    const std::string sentence = refusal([&] { interface_named(all, name); });
    EXPECT_NE(sentence.find(std::string("--interface ") + name), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("eth0 (10.0.1.7)"), std::string::npos) << sentence;
  }
  EXPECT_EQ(interface_with_address(interfaces(), "127.0.0.1").network, "127.0.0.0/8");
}

class SecretFile : public testing::Test {
 protected:
  void write(const std::string& text, mode_t mode) {
    std::filesystem::remove(path_);
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), mode);
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_ = testing::TempDir() + "rookery_secret_test";
};

TEST_F(SecretFile, IsReadWithoutItsLineEnd) {
  for (mode_t mode : {0600, 0400}) {
    write("0123456789abcdef\n", mode);
    EXPECT_EQ(read_secret(path_), "0123456789abcdef");
  }
}

TEST_F(SecretFile, Refusals) {
  const auto says = [this](const std::string& part) {
    const std::string sentence = refusal([&] { read_secret(path_); });
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
  };
  says("cannot be read");
  for (const auto& [mode, text] : {std::pair<mode_t, const char*>{0644, "0644"}, {0620, "0620"}, {0604, "0604"}, {0700, "0700"}}) {
    write("0123456789abcdef", mode);
    says(std::string("has mode ") + text);
  }
  write("0123456789abcde\n\n", 0600);
  says("holds 15 bytes");
  write(std::string(5000, 'x'), 0600);
  says("more than 4096");
  path_ = testing::TempDir();
  says("is not a file");
  path_ = testing::TempDir() + "rookery_secret_test";
}

TEST(Mpirun, SeveralNodes) {
  const Words line = mpirun_command({.words = {"train"},
                                     .program = "/opt/rookery",
                                     .nproc_per_node = 2,
                                     .other_nodes = {node_name(1), node_name(3)},
                                     .agent = "/tmp/x/rookery launch-agent /tmp/x/socket",
                                     .networks = "10.0.1.0/24",
                                     .folder = "/home/a b"});
  const auto value = [&](const std::string& name) {
    const auto i = std::find(line.begin(), line.end(), name);
    return i == line.end() ? std::string("absent") : *(i + 1);
  };
  EXPECT_EQ(value("-n"), "6");
  EXPECT_TRUE(value("--host").ends_with(":2,node-1:2,node-3:2"));
  EXPECT_EQ(value("plm_rsh_agent"), "/tmp/x/rookery launch-agent /tmp/x/socket");
  EXPECT_EQ(value("oob_tcp_if_include"), "10.0.1.0/24");
  EXPECT_EQ(value("btl_tcp_if_include"), "10.0.1.0/24");
  EXPECT_EQ(value("--wdir"), "/home/a b");
  EXPECT_EQ(value("oob_tcp_keepalive_time"), "30");
  EXPECT_EQ(value("mpi_yield_when_idle"), "absent");
  EXPECT_EQ(line.back(), "train");
}

TEST(Mpirun, WordsOfARestart) {
  EXPECT_EQ(words_of_restart({"train", "--zero", "1"}), (Words{"train", "--zero", "1", "--resume", "auto"}));
  EXPECT_EQ(words_of_restart({"train", "--resume", "x/step-1", "--zero", "1", "--resume-from-checkpoint=y"}),
            (Words{"train", "--zero", "1", "--resume", "auto"}));
  EXPECT_EQ(words_on_nodes({"train", "--devices=2", "--num-nodes", "3", "--zero", "1"}, 2, 1, 0),
            (Words{"train", "--zero", "1", "--devices", "2", "--num_nodes", "1"}));
  EXPECT_EQ(words_on_nodes({"train", "--accumulate=3", "--micro_bsz", "2", "--global_bsz=12"}, 2, 1, 24),
            (Words{"train", "--micro_bsz", "2", "--devices", "2", "--num_nodes", "1", "--global_bsz", "24"}))
      << "fewer ranks keep the samples of a step";
}

TEST(Mpirun, WhichEndsAreFinal) {
  for (int code : {0, 2, 75, 130}) EXPECT_FALSE(worth_a_restart(code)) << code;
  for (int code : {1, 70, 137, 143, 205, 255}) EXPECT_TRUE(worth_a_restart(code)) << code;
  EXPECT_EQ(exit_code_for_user(75), 75);
  EXPECT_EQ(exit_code_for_user(137), 1);
}

TEST(Srun, TasksThatDoNotKnowOfEachOther) {
  const Variables none{{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}};
  EXPECT_TRUE(srun_start(environment(none)).lacks_pmix);
  EXPECT_TRUE(srun_start(environment(none)).speaks);
  EXPECT_FALSE(srun_start(environment({{"SLURM_PROCID", "3"}, {"SLURM_STEP_NUM_TASKS", "4"}})).speaks);
  EXPECT_TRUE(srun_start(environment({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"PMI_RANK", "1"}})).lacks_pmix);
  EXPECT_FALSE(srun_start(environment({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"PMIX_RANK", "1"}})).lacks_pmix);
  EXPECT_FALSE(srun_start(environment({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}})).lacks_pmix);  // a script of sbatch
  EXPECT_FALSE(srun_start(environment({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}})).lacks_pmix);
  EXPECT_FALSE(srun_start(environment({})).lacks_pmix);
}

TEST(PrintSbatch, QuotesWordsAndSaysTheSizes) {
  EXPECT_EQ(quoted_for_shell("--zero"), "--zero");
  EXPECT_EQ(quoted_for_shell("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(quoted_for_shell(""), "''");
  const std::string script =
      sbatch_script({.nnodes = 3, .nproc_per_node = 4, .program = {"train", "--resume", "none", "--proj_dir", "a b"}}, "/opt/rookery");
  for (const char* part : {"#SBATCH --nodes=3\n", "#SBATCH --ntasks-per-node=4\n", "/opt/rookery train --proj_dir 'a b' --resume auto &\n"})
    EXPECT_NE(script.find(part), std::string::npos) << part;
}

}  // namespace
}  // namespace rk
