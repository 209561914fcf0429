// Package deps owns the rule who may import whom among the project's packages.
// Its test reads the imports of every package and holds them against the rule.
package deps
