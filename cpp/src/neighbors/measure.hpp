// Rows of a matrix in the form in which they are compared, and distances between them in double
// precision.
#pragma once

#include <cstddef>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/neighbors.hpp"

namespace labelquorum {

// Row i in double precision, as given.
void read_row(const Points& points, std::size_t i, double* to);

// Throws std::invalid_argument for NaN, infinity and values beyond 1e150 in row i.
void check_finite(const Points& points, std::size_t i, const double* row, const char* name);

class Measure {
public:
    Measure(Metric metric, std::size_t n_columns) : metric_(metric), n_columns_(n_columns) {}

    Metric metric() const { return metric_; }

    // Turns a row as given into the form that is compared. For cosine it gets length 1, unless it
    // is all zeros.
    void prepare(double* row) const;
    // Reads row i in the form that is compared.
    void read(const Points& points, std::size_t i, double* to) const;

    // The distance of two such rows. Euclidean distances are squared.
    double operator()(const double* a, const double* b) const;

    // The distance that the caller gets.
    double final_distance(double measured) const;

    // A lower bound on all distances.
    double least() const;

private:
    double squared(const double* a, const double* b) const;
    bool is_zero(const double* row) const;

    Metric metric_;
    std::size_t n_columns_;
};

struct Survey {
    double largest;            // absolute value
    std::vector<double> mean;  // its last bits depend on the number of threads
};

// Surveys the rows in the form that is compared. Throws std::invalid_argument for NaN, infinity and
// values beyond 1e150. `name` is the matrix's name in the message.
Survey survey(const Points& points, const char* name, const Measure& measure,
              const Executor& executor);

}  // namespace labelquorum
