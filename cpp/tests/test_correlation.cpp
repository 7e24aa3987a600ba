#include "labelquorum/correlation.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using labelquorum::correlation_clustering;
using labelquorum::DenseWeights;
using labelquorum::Executor;
using labelquorum::GraphView;

namespace {

using Labels = std::vector<std::int32_t>;

struct Problem {
    std::size_t n;
    std::vector<double> weights;
    Labels groups;

    Problem(std::size_t n_nodes, double share_of_pairs, bool with_groups, std::mt19937_64& random)
        : n(n_nodes), weights(n_nodes * n_nodes, 0.0) {
        std::normal_distribution<> normal;
        std::uniform_real_distribution<> uniform;
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                if (uniform(random) < share_of_pairs) {
                    weights[i * n + j] = weights[j * n + i] = normal(random);
                }
            }
            if (with_groups) groups.push_back(static_cast<std::int32_t>(random() % 3) - 1);
        }
    }

    bool allows(const Labels& labels) const {
        for (std::size_t i = 0; i < groups.size(); ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                if (labels[i] == labels[j] && groups[i] >= 0 && groups[j] >= 0 &&
                    groups[i] != groups[j]) {
                    return false;
                }
            }
        }
        return true;
    }
    double within(const Labels& labels) const {
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                if (labels[i] == labels[j]) sum += weights[i * n + j];
            }
        }
        return sum;
    }
    double best() const {
        Labels labels(n, 0);
        double found = -std::numeric_limits<double>::infinity();
        search(0, 0, labels, found);
        return found;
    }
    Labels solved(int n_threads = 1) const {
        return correlation_clustering(DenseWeights<double>{weights.data(), n}, groups,
                                      Executor(n_threads));
    }
    Labels solved_as_graph(int n_threads = 1) const {
        std::vector<std::int64_t> indptr{0};
        std::vector<std::int64_t> indices;
        std::vector<double> values;
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < n; ++j) {
                if (weights[i * n + j] == 0) continue;
                indices.push_back(static_cast<std::int64_t>(j));
                values.push_back(weights[i * n + j]);
            }
            indptr.push_back(static_cast<std::int64_t>(indices.size()));
        }
        const GraphView<std::int64_t, double> graph{indptr.data(), indices.data(), values.data(),
                                                    n};
        return correlation_clustering(graph, groups, Executor(n_threads));
    }

private:
    void search(std::size_t i, std::int32_t n_labels, Labels& labels, double& found) const {
        if (i == n) {
            if (allows(labels)) found = std::max(found, within(labels));
            return;
        }
        for (std::int32_t label = 0; label <= n_labels; ++label) {
            labels[i] = label;
            search(i + 1, std::max(n_labels, label + 1), labels, found);
        }
        labels[i] = 0;
    }
};

}  // namespace

TEST(near_the_optimum) {
    std::mt19937_64 random(1);
    double found = 0;
    double best = 0;
    for (int draw = 0; draw < 120; ++draw) {
        const Problem problem(1 + random() % 8, draw % 2 == 0 ? 1.0 : 0.4, draw % 3 == 0, random);
        const double optimum = problem.best();
        for (const Labels& labels : {problem.solved(), problem.solved_as_graph()}) {
            CHECK(problem.allows(labels));
            CHECK(problem.within(labels) <= optimum + 1e-9);
            found += problem.within(labels) / 2;
        }
        best += optimum;
    }
    CHECK(found >= 0.998 * best);
}

TEST(planted_clusters_are_found) {
    std::mt19937_64 random(2);
    std::normal_distribution<> normal;
    constexpr std::size_t n = 150;
    Problem problem(n, 0.0, false, random);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            const double weight = (i % 5 == j % 5 ? 1.0 : -1.0) + normal(random);
            problem.weights[i * n + j] = problem.weights[j * n + i] = weight;
        }
    }
    for (const Labels& labels : {problem.solved(), problem.solved_as_graph()}) {
        for (std::size_t i = 0; i < n; ++i) CHECK(labels[i] == static_cast<std::int32_t>(i % 5));
    }
}

TEST(the_same_for_any_number_of_threads) {
    std::mt19937_64 random(3);
    constexpr std::size_t n = 400;
    Problem problem(n, 0.0, true, random);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = i - i % 10; j < i; ++j) {
            const double weight = std::normal_distribution<>()(random);
            problem.weights[i * n + j] = problem.weights[j * n + i] = weight;
        }
    }
    CHECK(problem.solved(1) == problem.solved(4));
    CHECK(problem.solved_as_graph(1) == problem.solved_as_graph(4));
    CHECK(problem.allows(problem.solved(4)));
}

TEST(minus_infinity_keeps_nodes_apart) {
    std::mt19937_64 random(6);
    constexpr double never = -std::numeric_limits<double>::infinity();
    double found = 0;
    double best = 0;
    for (int draw = 0; draw < 120; ++draw) {
        Problem problem(1 + random() % 8, 1.0, draw % 3 == 0, random);
        for (std::size_t i = 0; i < problem.n; ++i) {
            problem.weights[i * problem.n + i] = never;  // does not count
            for (std::size_t j = 0; j < i; ++j) {
                if (random() % 4 != 0) continue;
                problem.weights[i * problem.n + j] = problem.weights[j * problem.n + i] = never;
            }
        }
        const double optimum = problem.best();
        for (const Labels& labels : {problem.solved(), problem.solved_as_graph()}) {
            CHECK(problem.allows(labels));
            CHECK(std::isfinite(problem.within(labels)));
            CHECK(problem.within(labels) <= optimum + 1e-9);
            found += problem.within(labels) / 2;
        }
        best += optimum;
    }
    CHECK(found >= 0.99 * best);
}

TEST(limit_cases) {
    std::mt19937_64 random(4);
    CHECK(Problem(1, 1.0, true, random).solved() == Labels{0});
    const Problem none(5, 0.0, false, random);
    CHECK((none.solved() == Labels{0, 1, 2, 3, 4}));
    CHECK((none.solved_as_graph() == Labels{0, 1, 2, 3, 4}));
    Problem all(4, 0.0, false, random);
    for (double& weight : all.weights) weight = 1;
    CHECK((all.solved() == Labels{0, 0, 0, 0}));
    all.groups = {0, 1, -1, 0};
    CHECK((all.solved() == Labels{0, 1, 0, 0}));
    CHECK((all.solved_as_graph() == Labels{0, 1, 0, 0}));
}

TEST(bad_input_is_refused) {
    std::mt19937_64 random(5);
    Problem problem(4, 1.0, false, random);
    problem.groups = {0, 1};
    CHECK_THROWS(std::invalid_argument, problem.solved());
    CHECK_THROWS(std::invalid_argument, problem.solved_as_graph());
    problem.groups.clear();
    for (const double wrong :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        problem.weights[2 * 4 + 1] = wrong;
        CHECK_THROWS(std::invalid_argument, problem.solved());
        CHECK_THROWS(std::invalid_argument, problem.solved_as_graph());
    }
}
